"""Long-term memory for programs: store what was said, recall it from a noisy, paraphrased or related question."""

from __future__ import annotations

from hmem_fast.memory.result import Explanation, Hit, HitExplanation, KeyMatch, Recall, Record, StoreInfo

__all__ = ["Explanation", "Hit", "HitExplanation", "KeyMatch", "Recall", "Record", "StoreInfo"]
