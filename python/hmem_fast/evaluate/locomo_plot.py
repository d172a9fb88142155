"""LoCoMo's result as a picture: one bar a method, and what each category contributes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmem_fast.evaluate.locomo_file import CATEGORIES
from hmem_fast.extra import require

__all__ = ["check_plot", "plot_locomo"]

_K = "10"
# Okabe and Ito's colours: told apart by readers with any kind of colour vision.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")


def check_plot() -> None:
    """Refuse now what `plot_locomo` would refuse after a long run.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot", purpose="--plot")


def plot_locomo(rows: Sequence[Mapping[str, Any]], path: str | Path, *, title: str) -> None:
    """Draw R@10 by method, all categories together (bars) and each alone (points), and write the picture.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    check_plot()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional package, slow to import

    names = [row["name"] for row in rows]
    overall = [row["recall"][_K] for row in rows]
    places = list(range(len(rows)))[::-1]
    figure = Figure(figsize=(9, 1.6 + 0.5 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    kinds = ["#4d4d4d" if name == "default" else "#c9c9c9" for name in names]
    axes.barh(places, overall, height=0.62, color=kinds, label="all questions", zorder=1)
    for place, value in zip(places, overall, strict=True):
        axes.text(1.015, place, f"{value:.3f}", va="center", fontsize=10)
    categories = sorted({category for row in rows for category in row["by_category"]}, key=int)
    for number, category in enumerate(categories):
        of_category = [(place, row["by_category"].get(category)) for place, row in zip(places, rows, strict=True)]
        drawn = [(place, values["recall"][_K]) for place, values in of_category if values is not None]
        asked = max(row["by_category"][category]["questions"] for row in rows if category in row["by_category"])
        axes.scatter(
            [value for _, value in drawn],
            [place for place, _ in drawn],
            s=46,
            color=_COLOURS[number % len(_COLOURS)],
            edgecolor="white",
            linewidth=0.8,
            label=f"{CATEGORIES.get(int(category), category)} ({asked})",
            zorder=2,
            clip_on=False,  # a point at 1 stands on the frame
        )
    axes.set_yticks(places, names)
    axes.set_xlim(0, 1)
    axes.set_xlabel("R@10: mean fraction of a question's evidence among the first 10 turns")
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e5e5", zorder=0)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
