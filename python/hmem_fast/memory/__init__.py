"""Long-term memory for programs: store what was said, recall it from a noisy, paraphrased or related question."""

from __future__ import annotations

from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.memory import Memory
from hmem_fast.memory.pipeline import (
    PIPELINES,
    DefaultPipeline,
    HopfieldPipeline,
    NearestPipeline,
    Pipeline,
    Question,
    Ranking,
    WordsPipeline,
)
from hmem_fast.memory.reader import RANKING_VERSION
from hmem_fast.memory.result import Explanation, Hit, HitExplanation, KeyMatch, Recall, Record, StoreInfo
from hmem_fast.memory.turn import ITEM_FIELDS

__all__ = [
    "ITEM_FIELDS",
    "PIPELINES",
    "RANKING_VERSION",
    "DefaultPipeline",
    "Explanation",
    "Hit",
    "HitExplanation",
    "HopfieldPipeline",
    "KeyMatch",
    "KeyRecipe",
    "Memory",
    "NearestPipeline",
    "Pipeline",
    "Question",
    "Ranking",
    "Recall",
    "Record",
    "StoreInfo",
    "WordsPipeline",
]
