"""The arithmetic of the associative benchmark: which chains there are, what is replaced, what stands on the page."""

import itertools
from datetime import date

import numpy as np

from benches.associative import report
from benches.associative.chains import HOPS, chains_of, measure, replaced
from hmem_fast.core import index_codes


def test_chains_hold_eight_links_in_ten_memories():
    links, starts = chains_of(500)
    assert len(links) == 400
    assert len(set(links[:, 0])) == len(set(links[:, 1])) == 400
    following = dict(links.tolist())
    assert len(starts) == 50
    for chain in starts.tolist():
        assert len(chain) == HOPS + 1
        assert all(following[a] == b for a, b in itertools.pairwise(chain))


def test_as_many_units_are_replaced_as_should_be():
    codes = index_codes(np.arange(20))
    for share, kept in ((0.0, 50), (0.2, 40), (1.0, 0)):
        corrupted = replaced(codes, share, seed=1)
        for before, after in zip(codes, corrupted, strict=True):
            assert len(set(after)) == 50
            assert len(np.intersect1d(before, after)) == kept


def test_small_chains_are_right_and_stand_on_the_page(tmp_path, monkeypatch):
    rows = list(measure([300]))
    assert [(row["corrupt"], row["correct"]) for row in rows] == [(0.0, 1.0), (0.2, 1.0)]
    rows.append({"op": "recall", "implementation": "some", "memories": 20_000, "p50_us": 1234.5, "cpu_p50_us": 5.25})
    assert report.as_text(rows[-1]).endswith("memories=20,000  p50_us=1,234  cpu_p50_us=5.25")
    monkeypatch.setattr(report, "_RECORDS", tmp_path)
    result = {
        "command": ["python"],
        "version": "0",
        "settings": {"isa": "scalar", "rounds": 9, "ratio": "one by the other", "load": [0.5, 1.5]},
        "machine": {"cpu": "some"},
        "seconds": 1.0,
        "rows": rows,
    }
    page = report.write_record(result, date(2026, 1, 2)).read_text(encoding="utf-8")
    assert "load 0.5 to 1.5" in page
    assert "| recall | some | 20,000 | 1,234 | 5.25 |  |  |" in page
    assert "| 300 | 240 | 0.2 | 30 | 1 |" in page
