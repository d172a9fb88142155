"""Proof that any of it helps: loaders of public data sets, and scorers that measure as others do."""

from __future__ import annotations

from hmem_fast.evaluate.cached import CachedEncoder
from hmem_fast.evaluate.locomo import METHODS, Method, Scored, run_locomo
from hmem_fast.evaluate.locomo_file import Conversation, Question, Turn, load_locomo
from hmem_fast.evaluate.result import DataFile, make_result, write_result

__all__ = [
    "METHODS",
    "CachedEncoder",
    "Conversation",
    "DataFile",
    "Method",
    "Question",
    "Scored",
    "Turn",
    "load_locomo",
    "make_result",
    "run_locomo",
    "write_result",
]
