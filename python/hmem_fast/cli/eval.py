"""``hmem eval TASK``: measure on public data. Each task is a file of its own."""

from __future__ import annotations

import argparse

from hmem_fast.cli import eval_chains, eval_completion, eval_locomo, eval_multihop, eval_paraphrase, eval_reinforce

__all__ = ["configure", "run"]

_TASKS = {
    "chains": (eval_chains, "memory leads to memory, by a Hebbian network alone, over several hops"),
    "completion": (eval_completion, "stored patterns, completed from noisy copies of them"),
    "locomo": (eval_locomo, "turns of long conversations, found by questions about them"),
    "multihop": (eval_multihop, "passages that answer a question together"),
    "paraphrase": (eval_paraphrase, "memories under several cues, asked in words that nobody stored"),
    "reinforce": (eval_reinforce, "memories that were useful together, and whether that helps later questions"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the tasks and their arguments."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for name, (module, about) in _TASKS.items():
        module.configure(
            tasks.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False)
        )


def run(arguments: argparse.Namespace) -> int:
    """Run the task that was chosen."""
    module, _ = _TASKS[arguments.task]
    return int(module.run(arguments))
