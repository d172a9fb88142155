"""``hmem demo``: store the shipped conversation, open it again, ask ten questions, see why each was answered."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hmem_fast.cli.item_file import ItemFile
from hmem_fast.cli.reason import print_reasons
from hmem_fast.cli.terminal import mark, note, progress
from hmem_fast.errors import InvalidValueError
from hmem_fast.memory import Memory

__all__ = ["configure", "run"]

_CONVERSATION, _QUESTIONS = "demo_conversation.jsonl", "demo_questions.jsonl"
_ENCODER = "minilm"
_NEEDED = 9

_NEXT_STEPS = """
With your own data:
  hmem store notes --file my_notes.jsonl      lines such as {"text": "…", "speaker": "Ann", "session": "monday"}
  hmem recall notes "what did Ann say about the budget?" --explain

In Python:
  from hmem_fast import Memory
  memory = Memory.open("notes")
  print(memory.recall("what did Ann say about the budget?", k=3))
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, and the external id of the turn that answers it."""

    question: str
    answer: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--store", metavar="PATH", type=Path, help="keep the store in this new folder (default: a temporary one)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show it; 1 unless at least nine of the ten answers are on top."""
    if arguments.store is not None and arguments.store.exists():
        raise InvalidValueError(f"--store: wanted a folder that is not there yet, got {str(arguments.store)!r}")
    with ExitStack() as stack:
        folder = arguments.store
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hmem-demo-"))) / "store"
        _store(folder)
        on_top, asked = _ask(folder)
    print(f"{on_top} of {asked} answers are on top ({_NEEDED} wanted)")
    if arguments.store is not None:
        note(f'the store is kept: hmem recall {arguments.store} "…" --explain')
    print(_NEXT_STEPS, end="")
    return 0 if on_top >= _NEEDED else 1


def _store(folder: Path) -> None:
    started = time.perf_counter()
    with (
        resources.as_file(resources.files("hmem_fast.cli") / _CONVERSATION) as path,
        ItemFile(str(path)).items() as read,
    ):
        items = list(read)
    with Memory.open(folder, encoder=_ENCODER) as memory, progress("storing") as show:
        memory.store_many(items, progress=lambda done: show(done, len(items)))
        info = memory.info()
    print(
        f"stored {info.memories} turns of {info.sessions} conversations between {', '.join(info.speakers)} "
        f"under {info.keys} keys, in {time.perf_counter() - started:.1f} s"
    )


def _ask(folder: Path) -> tuple[int, int]:
    lines = (resources.files("hmem_fast.cli") / _QUESTIONS).read_text(encoding="utf-8").splitlines()
    asked = [_Asked(**json.loads(line)) for line in lines]
    on_top = 0
    with Memory.open(folder, mode="r") as memory:
        for item in asked:
            recall = memory.recall(item.question, explain=True)
            good = bool(recall) and recall[0].external_id == item.answer
            on_top += good
            print(f"\n{mark(good=good)} {item.question}")
            if not recall:
                print("  nothing was found")
                continue
            print(f"  {recall[0].speaker}: {recall[0].text}")
            if recall.explanation is not None:
                print_reasons(recall.explanation.hits[0], n_keys=1)
            if not good:
                places = [place for place, hit in enumerate(recall, 1) if hit.external_id == item.answer]
                print(f"     the answer is {item.answer}, " + (f"at {places[0]}" if places else "not among these"))
    print()
    return on_top, len(asked)
