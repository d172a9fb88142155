"""Proof that any of it helps: loaders of public data sets, and scorers that measure as others do."""

from __future__ import annotations

from hmem_fast.evaluate.cached import CachedEncoder
from hmem_fast.evaluate.clinc_file import Clinc, load_clinc
from hmem_fast.evaluate.completion import run_completion
from hmem_fast.evaluate.locomo import METHODS, Method, Scored, run_locomo
from hmem_fast.evaluate.locomo_file import Conversation, Question, Turn, load_locomo
from hmem_fast.evaluate.multihop import MultihopMethod, MultihopScored, ShuffledSpread, multihop_methods, run_multihop
from hmem_fast.evaluate.multihop_file import MultihopQuestion, Passage, load_corpus, load_multihop
from hmem_fast.evaluate.paraphrase import run_paraphrase
from hmem_fast.evaluate.result import DataFile, make_result, write_result

__all__ = [
    "METHODS",
    "CachedEncoder",
    "Clinc",
    "Conversation",
    "DataFile",
    "Method",
    "MultihopMethod",
    "MultihopQuestion",
    "MultihopScored",
    "Passage",
    "Question",
    "Scored",
    "ShuffledSpread",
    "Turn",
    "load_clinc",
    "load_corpus",
    "load_locomo",
    "load_multihop",
    "make_result",
    "multihop_methods",
    "run_completion",
    "run_locomo",
    "run_multihop",
    "run_paraphrase",
    "write_result",
]
