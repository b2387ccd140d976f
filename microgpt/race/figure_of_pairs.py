"""The figure of all pairs of entrants."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from microgpt.race.figure_page import (
    IN_BITS,
    INK,
    LONGEST_IN_A_COLUMN,
    PALE,
    QUIET,
    in_lines,
    page,
    row_height,
)
from microgpt.race.figure_titles import best_first, digits_of, sentence
from microgpt.race.report import Judgement
from microgpt.race.statistics import Pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BETTER, WORSE = (0.0, 0.447, 0.698), (0.902, 0.624, 0.0)  # the blue and the orange of the entrants


def draw_pairs(condition: str, judgement: Judgement, what: str) -> Figure:
    """A table of each entrant minus each other one."""
    found = judgement.verdict.pairs
    names = best_first(judgement)
    n = len(names)
    pairs = {(pair.first, pair.second): pair for pair in (*found, *(pair.turned() for pair in found))}
    won = sum(pair.winner is not None for pair in found)
    title = f"{what}, {won or 'none'} of {len(found)} pairs {'has' if won < 2 else 'have'} a winner"
    digits = digits_of(found)
    figure = page(
        condition,
        sentence(what, judgement) if n == 2 else title,
        f"In each cell: the mean loss of the row minus that of the column, in {IN_BITS}. Blue: the row is "
        "better; orange: the column is better; below the difference is its 95% interval. White: no winner; "
        "below it is how large the difference is at most, at 95%.",
        height=0.3 + row_height(names, 0.4, LONGEST_IN_A_COLUMN) + row_height(names, 0.52) * n,
        width=max(6.5, 1.9 + (0.66 + 0.13 * digits) * n),
    )
    axes = figure.subplots()
    strongest = max((abs(pair.difference) for pair in found if pair.winner), default=1.0)
    for (row, first), (column, second) in itertools.permutations(enumerate(names), 2):
        _cell(axes, row, column, pairs[first, second], strongest, digits)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_yticks(range(n), [in_lines(name) for name in names])
    axes.set_xticks(range(n), [in_lines(name, LONGEST_IN_A_COLUMN) for name in names])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _cell(axes: Axes, row: int, column: int, pair: Pair, strongest: float, digits: int) -> None:
    """White without a winner; else the stronger, the larger the difference is."""
    from matplotlib.patches import Rectangle

    ink, colour = QUIET, np.ones(3)
    below = "too few seeds" if pair.within is None else f"within {pair.within:.{digits}f}"
    if pair.winner is not None and pair.interval is not None:
        ink, full = INK, np.array(BETTER if pair.difference < 0 else WORSE)
        strength = 0.2 + 0.5 * abs(pair.difference) / strongest
        colour = 1 - strength * (1 - full)
        below = f"[{_signed(pair.interval.low, digits)}, {_signed(pair.interval.high, digits)}]"
    corner = column - 0.47, row - 0.46
    axes.add_patch(Rectangle(corner, 0.94, 0.92, facecolor=tuple(colour), edgecolor=PALE, linewidth=0.6))
    difference = _signed(pair.difference, digits)
    axes.text(column, row - 0.14, difference, ha="center", va="center", color=ink)
    axes.text(column, row + 0.2, below, ha="center", va="center", color=ink, size=7)


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text[1:]
