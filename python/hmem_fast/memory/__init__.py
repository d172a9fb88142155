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
from hmem_fast.memory.purge import Purged
from hmem_fast.memory.reader import RANKING_VERSION
from hmem_fast.memory.result import (
    Alternative,
    Chain,
    Completed,
    Explanation,
    ForgetPlan,
    Hit,
    HitExplanation,
    Hop,
    KeyMatch,
    Link,
    Recall,
    Record,
    StoreInfo,
)
from hmem_fast.memory.spread_pipeline import LinkedPipeline, SpreadPipeline
from hmem_fast.memory.transfer_export import Exported
from hmem_fast.memory.transfer_import import Imported, import_memory
from hmem_fast.memory.turn import ITEM_FIELDS
from hmem_fast.memory.upkeep_repair import Repaired, repair_memory
from hmem_fast.memory.verify import verify_memory
from hmem_fast.store import Problem, Verified

__all__ = [
    "ITEM_FIELDS",
    "PIPELINES",
    "RANKING_VERSION",
    "Alternative",
    "Chain",
    "Completed",
    "DefaultPipeline",
    "Explanation",
    "Exported",
    "ForgetPlan",
    "Hit",
    "HitExplanation",
    "Hop",
    "HopfieldPipeline",
    "Imported",
    "KeyMatch",
    "KeyRecipe",
    "Link",
    "LinkedPipeline",
    "Memory",
    "NearestPipeline",
    "Pipeline",
    "Problem",
    "Purged",
    "Question",
    "Ranking",
    "Recall",
    "Record",
    "Repaired",
    "SpreadPipeline",
    "StoreInfo",
    "Verified",
    "WordsPipeline",
    "import_memory",
    "repair_memory",
    "verify_memory",
]
