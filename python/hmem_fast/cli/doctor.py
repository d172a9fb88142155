"""``hmem doctor``: what this machine has and what hmem_fast makes of it."""

from __future__ import annotations

import argparse
import time
from typing import Any

from hmem_fast.cli.argument import add_json, write_json
from hmem_fast.cli.terminal import mark
from hmem_fast.diagnosis import doctor

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 1 where something needs to be put right."""
    started = time.perf_counter()
    report = doctor()
    _print(report)
    if arguments.json is not None:
        seconds = time.perf_counter() - started
        write_json(arguments.json, "doctor", command=arguments.argv, settings={}, rows=[report], seconds=seconds)
    return 1 if report["problems"] else 0


def _print(report: dict[str, Any]) -> None:
    cpu, paths = report["cpu"], report["paths"]
    asked = f" (HMEM_ISA={report['hmem_isa']})" if "hmem_isa" in report else ""
    lines = {
        "hmem_fast": report["version"],
        "python": f"{report['python']}, {report['platform']}",
        "numpy": report["numpy"],
        "sqlite": report["sqlite"],
        "cpu": f"{cpu['model']} ({cpu['architecture']}, {cpu['usable_cores']} of {cpu['cores']} cores usable)",
        "cpu features": " ".join(cpu["features"]) or "none beyond the baseline",
        "kernels": f"{report.get('isa', 'none')}{asked}",
        "optional": ", ".join(f"{name} {version}" for name, version in report["packages"].items()) or "none",
        "not installed": ", ".join(report["missing_packages"]) or "nothing",
        "package": paths["package"],
        "encoder cache": paths["cache"],
        "HMEM_DATA": paths.get("data", "not set"),
    }
    for name, value in lines.items():
        print(f"{name:<14} {value}")
    print("encoders")
    for encoder in report["encoders"]:
        where = f"  [{encoder['where']}]" if encoder["where"] else ""
        print(f"  {mark(good=encoder['usable'])} {encoder['name']:<13} {encoder['note']}{where}")
    for problem in report["problems"]:
        print(f"problem: {problem}")
    if not report["problems"]:
        print("no problems found")
