"""Why a hit was found, in lines that a person reads."""

from __future__ import annotations

from hmem_fast.cli.terminal import one_line
from hmem_fast.memory import HitExplanation

__all__ = ["print_reasons"]


def print_reasons(reason: HitExplanation, *, n_keys: int = 3, indent: str = "     ") -> None:
    """Print the parts that add up to the score, the best keys, and the words that matched."""
    if reason.parts:
        # Rounded parts that add up to a rounded score that is off by one would look like an error: four digits.
        parts = " + ".join(f"{name} {value:.4f}" for name, value in reason.parts.items())
        print(f"{indent}{reason.score:.4f} = {parts.replace('+ -', '- ')}")
    for key in reason.keys[:n_keys]:
        shown = "a ready vector" if key.text is None else one_line(key.text)
        print(f"{indent}{key.kind:<9} {key.score:.3f}  {shown}")
    if len(reason.keys) > n_keys:
        print(f"{indent}and {len(reason.keys) - n_keys} more keys")
    if reason.words:
        words = ", ".join(f"{word} {share:.2f}" for word, share in sorted(reason.words.items(), key=lambda w: -w[1]))
        print(f"{indent}words     {words}")
