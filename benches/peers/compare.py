"""Build every method on one set, let them answer in alternating rounds, judge the answers: rows of a result."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benches.peers.data_sets import DataSet
from benches.peers.floors import FLOORS, Floors
from benches.peers.methods import BASELINE, TUNED, Method, all_methods
from benches.peers.rounds import Times, orders, timed_calls
from benches.peers.truth import Truth, first_wrong, recall, true_scores, truth_of

__all__ = ["OPS", "Comparison", "Plan", "compare"]

OPS = ("search", "search-batch")
"""One query in a call; a batch of them."""


@dataclass(frozen=True)
class Plan:
    """How much is asked, how often, and of whom."""

    k: int
    rounds: int
    queries: int
    batch: int
    threads: int
    only: Collection[str] = ()


@dataclass
class Comparison:
    """What came out.

    Attributes
    ----------
    rows : list of dict
        One for each method and op, then one for each floor.
    missing : list of dict
        Methods that did not run, each with the reason.
    wrong : list of str
        Answers of methods that promise the scan's, and did not give it.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    missing: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass
class _Run:
    """One method in one op: its times, and its answers in the first round."""

    times: Times = field(default_factory=Times)
    recall: float = 0.0


def compare(data: DataSet, plan: Plan) -> Comparison:
    """Run the plan on one set.

    Raises
    ------
    ValueError
        If the set has fewer queries than the plan asks.
    """
    asked = max(plan.queries, plan.batch)
    if asked > len(data.queries):
        raise ValueError(f"queries, batch: wanted at most {len(data.queries)} (what {data.name} has), got {asked}")
    result = Comparison()
    about = {"set": data.name, "memories": len(data.rows), "width": data.rows.shape[1], "k": plan.k}
    _say(f"{data.name} {len(data.rows):,}: float64 scan")
    truth = truth_of(data, asked, plan.k)
    methods = _built(data, plan, about, result)
    floors = Floors()
    batches = {
        "search": [data.queries[i : i + 1] for i in range(plan.queries)],
        "search-batch": [data.queries[: plan.batch]],
    }
    runs = {(method.name, op): _Run() for method in methods for op in OPS}
    for number, order in enumerate(orders(len(methods), plan.rounds)):
        _say(f"{data.name} {len(data.rows):,}: round {number + 1} of {plan.rounds}")
        floors.measure(data.rows)
        for op in OPS:
            for method in (methods[place] for place in order):
                run = runs[method.name, op]
                times, cpu, ids = timed_calls(method.search, batches[op], plan.k)
                run.times.rounds.append(times)
                run.times.cpu.append(cpu)
                if number == 0 or method.must_be_exact:
                    _judge(method, op, run, data, truth, ids, result)
    result.rows += _method_rows(methods, runs, plan, about, truth)
    result.rows += _floor_rows(floors, data, plan, about)
    return result


def _built(data: DataSet, plan: Plan, about: dict[str, Any], result: Comparison) -> list[Method]:
    methods = []
    for method in all_methods(plan.threads):
        if plan.only and method.name not in plan.only:
            continue
        reason = None
        if method.largest is not None and len(data.rows) > method.largest and not plan.only:
            reason = f"left out above {method.largest:,} rows unless --only names it: {method.why_largest}"
        else:
            _say(f"{data.name} {len(data.rows):,}: building {method.name}")
            try:
                method.build(data.rows)
            except ImportError as error:
                reason = f"cannot be had here: {error}"
        if reason is None:
            methods.append(method)
        else:
            result.missing.append(
                {"set": about["set"], "memories": about["memories"], "implementation": method.name, "reason": reason}
            )
    return methods


def _judge(
    method: Method, op: str, run: _Run, data: DataSet, truth: Truth, ids: np.ndarray, result: Comparison
) -> None:
    asked = truth.first(len(ids))
    scores = true_scores(data.rows, data.queries[: len(ids)], ids)
    run.recall = recall(asked, ids, scores)
    if method.must_be_exact and (difference := first_wrong(asked, ids, scores)):
        result.wrong.append(f"{method.name}, {op}, {data.name} {len(data.rows):,}: {difference}")


def _method_rows(
    methods: list[Method], runs: dict[tuple[str, str], _Run], plan: Plan, about: dict[str, Any], truth: Truth
) -> list[dict[str, Any]]:
    rows = []
    for op in OPS:
        baselines = {"ratio": runs.get((BASELINE, op)), "ratio_tuned": runs.get((TUNED, op))}
        for method in methods:
            run = runs[method.name, op]
            ratios = {
                name: run.times.p50_us / other.times.p50_us for name, other in baselines.items() if other is not None
            }
            rows.append(
                {
                    "op": op,
                    "implementation": method.name,
                    **about,
                    "queries_per_call": 1 if op == "search" else plan.batch,
                    "p50_us": run.times.p50_us,
                    **ratios,
                    "recall": run.recall,
                    "cpu_p50_us": run.times.cpu_p50_us,
                    "build_s": method.build_s,
                    "bytes_per_row": method.nbytes() / about["memories"],
                    "round_p50_us": run.times.round_p50_us,
                    "noise": run.times.noise,
                    "gap_at_k": truth.gap,
                }
            )
    return rows


def _floor_rows(floors: Floors, data: DataSet, plan: Plan, about: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "op": "search",
            "implementation": "floor: read rows",
            **about,
            "queries_per_call": 1,
            "p50_us": floors.read_rows_us,
        },
        {
            "op": "search-batch",
            "implementation": "floor: sgemm",
            **about,
            "queries_per_call": plan.batch,
            "p50_us": floors.sgemm_us(data.rows),
        },
        *(
            {"op": "floor", "implementation": name, **about}
            | ({"gflop_per_s": floors.gflop_per_s} if name == "sgemm" else {"gb_per_s": floors.gb_per_s(name)})
            for name in FLOORS
        ),
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
