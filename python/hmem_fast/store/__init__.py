"""Durable truth: one SQLite file with a change log, one writer, any number of readers.

Nothing here knows what a memory means; `hmem_fast.memory` and the other uses put their own tables beside these.
"""

from __future__ import annotations

from hmem_fast.store.backup import Progress
from hmem_fast.store.change import Change
from hmem_fast.store.erase import Erased
from hmem_fast.store.plan import ForgetPlan
from hmem_fast.store.record import KeyRecord, LinkRecord, MemoryRecord, NewKey, NewLink
from hmem_fast.store.repair import Repaired
from hmem_fast.store.snapshots import Snapshots
from hmem_fast.store.trace_store import Durability, Mode, TraceStore
from hmem_fast.store.transaction import Transaction
from hmem_fast.store.verify import Problem, Verified

__all__ = [
    "Change",
    "Durability",
    "Erased",
    "ForgetPlan",
    "KeyRecord",
    "LinkRecord",
    "MemoryRecord",
    "Mode",
    "NewKey",
    "NewLink",
    "Problem",
    "Progress",
    "Repaired",
    "Snapshots",
    "TraceStore",
    "Transaction",
    "Verified",
]
