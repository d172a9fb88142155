"""A memory of 20,000 real texts under the core's keys, kept in the cache: encoding them takes a minute or two."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benches.encode.texts import conversations, dialogues, intents
from benches.peers.cache import digest
from hmem_fast import Memory
from hmem_fast.encode import NativeEncoder, cache_dir
from hmem_fast.encode.manifest import sha256_of
from hmem_fast.evaluate.texts import sentences
from hmem_fast.memory import RANKING_VERSION
from hmem_fast.store.schema import SCHEMA_VERSION

__all__ = ["items", "store_of"]

_TURN_OF_INTENTS = 10

Item = dict[str, Any]


def items(count: int) -> list[Item]:
    """Give what is stored, each text once: LoCoMo's turns, then sentences of other dialogues, then of clinc150."""
    found: dict[str, Item] = {}
    for item in islice(_all_items(), 10 * count):
        found.setdefault(item["text"], item)
        if len(found) == count:
            return list(found.values())
    raise ValueError(f"count: wanted at most the {len(found):,} texts there are, got {count:,}")


def _all_items() -> Iterator[Item]:
    for conversation in conversations():
        for turn in conversation.turns:
            session = f"{conversation.sample_id} {turn.session}"
            yield {
                "text": turn.text,
                "speaker": turn.speaker,
                "session": session,
                "external_id": f"{conversation.sample_id} {turn.dia_id}",
            }
    for dialogue in dialogues():
        for turn in dialogue["turns"]:
            for sentence in sentences(turn["content"]):
                yield {"text": sentence, "speaker": turn["role"], "session": dialogue["session_id"]}
    for number, text in enumerate(intents()):
        yield {"text": text, "session": f"clinc {number // _TURN_OF_INTENTS}"}


def store_of(model: Path, count: int) -> Path:
    """Give the folder of the store, made by the first call."""
    told = items(count)
    name = digest(
        sha256_of(model), RANKING_VERSION, SCHEMA_VERSION, *(json.dumps(item, sort_keys=True) for item in told)
    )
    folder = cache_dir() / "bench-encode" / f"recall-{count}-{name}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".recall-", dir=folder.parent))
    try:
        with Memory.open(made / "store", encoder=NativeEncoder(model), durability="none") as memory:
            memory.store_many(told)
            memory.flush()
        (made / "store").rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder
