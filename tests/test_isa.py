import pytest

from hmem_fast.core import cpu_features, isa
from instruction_sets import available, check_all_give_the_same_bits, run

# Prints the bits of a search: lengths around every register width, rows around every block.
SEARCH = """
import hashlib
import numpy as np
from hmem_fast.core import DenseIndex, isa
bits = hashlib.sha256()
for d in (1, 7, 15, 16, 17, 33, 100, 384):
    rng = np.random.default_rng(d)
    rows = rng.standard_normal((203, d)).astype(np.float32)
    queries = rng.standard_normal((9, d)).astype(np.float32)
    for metric in ("cosine", "dot"):
        index = DenseIndex(d, metric)
        index.add(rows)
        found = index.search(queries, 20)
        bits.update(found.ids.tobytes() + found.scores.tobytes())
print(isa(), bits.hexdigest())
"""


def test_the_best_one_is_chosen_unless_capped():
    best = run(SEARCH, None)
    assert best.returncode == 0, best.stderr
    assert best.stdout.split()[0] == list(available())[-1]


def test_all_give_the_same_bits():
    check_all_give_the_same_bits(SEARCH)


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx2 ", "neon" if cpu_features()["avx2"] else "avx2"])
def test_unknown_and_unavailable_sets_are_refused(name):
    for call in ("isa()", "DenseIndex(3)"):
        failed = run(f"from hmem_fast.core import DenseIndex, isa\n{call}", name)
        assert failed.returncode == 1
        assert "hmem_fast.errors.IsaError: HMEM_ISA" in failed.stderr


def test_amx_is_a_known_name():
    answer = run("from hmem_fast.core import isa\nprint(isa())", "amx")
    if cpu_features()["amx-int8"]:
        assert answer.stdout.split() == [list(available())[-1]]
    else:
        assert "amx was asked for, but this CPU offers scalar" in answer.stderr


def test_features_are_names_and_truth_values():
    features = cpu_features()
    assert {"avx2", "fma", "avx512vnni", "avxvnni", "amx-int8", "neon", "dotprod"} <= set(features)
    assert all(type(value) is bool for value in features.values())
    assert isa() in {"scalar", "avx2", "avx512", "neon"}
