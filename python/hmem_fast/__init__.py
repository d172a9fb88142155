"""Associative memory on a CPU: store text, recall what was meant from a noisy or paraphrased cue."""

from __future__ import annotations

__all__: list[str] = []
