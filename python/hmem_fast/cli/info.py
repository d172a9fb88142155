"""``hmem info``: what a store holds and how it is kept."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

from hmem_fast.cli.argument import add_json, add_store, write_json
from hmem_fast.memory import Memory

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_store(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what the store says of itself, one property a line."""
    started = time.perf_counter()
    with Memory.open(arguments.store, mode="r") as memory:
        info = {name: value for name, value in asdict(memory.info()).items() if value is not None}
    info = {name: list(value) if isinstance(value, tuple) else value for name, value in info.items()}
    for name, value in info.items():
        print(f"{name:<15} {', '.join(value) if isinstance(value, list) else value}")
    if arguments.json is not None:
        seconds = time.perf_counter() - started
        write_json(arguments.json, "info", command=arguments.argv, settings={}, rows=[info], seconds=seconds)
    return 0
