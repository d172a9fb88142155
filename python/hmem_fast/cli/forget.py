"""``hmem forget``: take memories out of a store."""

from __future__ import annotations

import argparse

from hmem_fast.cli.argument import add_ids, add_store
from hmem_fast.cli.terminal import note, one_line
from hmem_fast.memory import ForgetPlan, Memory

__all__ = ["configure", "print_plan", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_store(parser)
    add_ids(parser, "ids of the memories, as store and recall give them")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be forgotten, and what else goes")


def run(arguments: argparse.Namespace) -> int:
    """Forget all of them, or none where one is not there; print id and text of each."""
    ids = list(dict.fromkeys(arguments.ids))
    with Memory.open(arguments.store, mode="r") as memory:  # "w" would make a store where there is none
        records = [memory.get(memory_id) for memory_id in ids]
        plan = memory.plan_forget(ids) if arguments.dry_run else None
    if not arguments.dry_run:
        with Memory.open(arguments.store) as memory:
            memory.forget(ids)
    for record in records:
        print(f"{record.id}\t{one_line(record.text)}")
    if plan is not None:
        print_plan(plan)
    note(f"{'would forget' if arguments.dry_run else 'forgot'} {len(records)} of the memories in {arguments.store}")
    return 0


def print_plan(plan: ForgetPlan) -> None:
    """Say what goes with memories, and what is made anew without them."""
    print(f"keys\t{plan.keys}")
    print(f"links\t{plan.links}")
    print(f"renewed\t{' '.join(map(str, plan.renewed)) or 'none'}")
