"""The X-ray on a terminal: a line on the text, and a table with a row for each head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from microgpt.terminal.fitting import fitted, fitting_columns
from microgpt.xray.film import Film
from microgpt.xray.head import Head
from microgpt.xray.xray import Xray

# the columns that are left out, in this order, where a terminal is too narrow
LEAST = ("copying", "outputs", "ov", "qk", "first", "same", "gradient", "by zero", "reach", "interval")
GAP = 2
MOST_STEPS = 7  # of a film
EXPLAINED = {
    "bits": "how many the loss rises, for each character, if the head always writes its mean",
    "interval": "where the bits are at 95% confidence",
    "by zero": "the same as the bits if the head writes nothing at all",
    "shapley": "its fair share of what attention is worth",
    "gradient": "what the gradient says of its worth",
    "previous": "the part of its attention that goes to the character before",
    "first": "the part that goes to the first character",
    "same": "the part that goes to earlier characters like its own",
    "induction": "the part that goes to what followed last time, in a random string that is repeated",
    "reach": "how many characters it looks back",
    "qk": "in how many directions it compares, of its width",
    "ov": "in how many directions it carries what it reads",
    "outputs": "in how many directions it writes",
    "copying": "from -1 to 1: whether the characters that it looks at become likelier",
}


# by its name what a column says of head h
Columns = dict[str, Callable[[int], str]]


def lines(xray: Xray) -> list[str]:
    """What is shown to a person."""
    without, n = xray.ablations, len(xray.text)
    gain = without.all_off - without.all_on
    said = (
        f"{without.all_on:.4f} bits per character on {n:,} characters ({xray.source}); "
        f"{without.all_off:.4f} without attention, which is worth {gain:.4f}"
    )
    if xray.run["ngrams"]:
        said += "; all of the network without its n-grams"
    columns = _columns(xray)
    least = [name for name in LEAST if name in columns]
    film = [] if xray.film is None else _film(xray.film, xray.heads)
    return [
        fitted(said, 0),
        "",
        *_table(columns, len(xray.heads), least),
        "",
        *_legend(columns, len(xray.heads), least),
        *film,
    ]


def _legend(columns: Columns, n: int, least: Sequence[str]) -> list[str]:
    """A line for each column that is shown and needs one, and where there is more."""
    shown = fitting_columns(_widths(_cells(columns, n)), least, GAP)
    left_out = len(columns) - len(shown)
    more = f"A wider terminal shows {left_out} more column{'s' if left_out > 1 else ''}. " if left_out else ""
    return [
        *(fitted(f"{name}: {EXPLAINED[name]}", GAP) for name in shown if name in EXPLAINED),
        fitted(f"{more}docs/xray.md explains them all; --json has more.", 0),
    ]


def _film(film: Film, heads: Sequence[Head]) -> list[str]:
    """The bits of each head after some of the steps that the film has: the last one, and others before it."""
    every = math.ceil(len(film.steps) / MOST_STEPS)
    chosen = range((len(film.steps) - 1) % every, len(film.steps), every)

    def bits(i: int) -> Callable[[int], str]:
        return lambda h: f"{film.ablation[i, h]:z.4f}"

    columns = {f"{film.steps[i]:,}": bits(i) for i in chosen}
    said = (
        f"Bits of each head after these training steps; --json has all {len(film.steps)}, and more measures:"
    )
    named: Columns = {"head": lambda h: heads[h].name}
    return ["", fitted(said, 0), "", *_table(named | columns, len(heads), tuple(columns)[:-1])]


def _columns(xray: Xray) -> Columns:
    """What each column says of head h."""
    by_mean, values, seen = xray.ablations.mean, xray.shapley, xray.patterns

    def interval(h: int) -> str:
        low, high = by_mean.low[h], by_mean.high[h]
        return f"{low:z.4f} to {high:z.4f}" if math.isfinite(low) else ""

    columns: Columns = {
        "head": lambda h: xray.heads[h].name,
        "width": lambda h: str(xray.heads[h].width),
        "bits": lambda h: f"{by_mean.bits[h]:z.4f}",
    }
    if np.isfinite(by_mean.low).any():  # a short text gives none
        columns["interval"] = interval
    columns["by zero"] = lambda h: f"{xray.ablations.zero.bits[h]:z.4f}"
    if values is not None:
        columns["shapley"] = lambda h: f"{values.bits[h]:z.4f}"
    return columns | {
        "gradient": lambda h: f"{xray.gradient_importance[h]:z.4f}",
        "previous": lambda h: f"{seen.offsets[h, 0]:.3f}",
        "first": lambda h: f"{seen.first[h]:.3f}",
        "same": lambda h: f"{seen.same[h]:.3f}",
        "induction": lambda h: f"{xray.induction[h]:.3f}",
        "reach": lambda h: f"{seen.reach[h]:.1f}",
        "qk": lambda h: f"{xray.ranks[h, 0]:.1f}",
        "ov": lambda h: f"{xray.ranks[h, 1]:.1f}",
        "outputs": lambda h: f"{xray.ranks[h, 2]:.1f}",
        "copying": lambda h: f"{xray.copying[h]:.2f}",
    }


def _cells(columns: Columns, n: int) -> dict[str, list[str]]:
    """Of each column its name, and what it says of n heads."""
    return {name: [name, *map(cell, range(n))] for name, cell in columns.items()}


def _widths(cells: dict[str, list[str]]) -> dict[str, int]:
    return {name: max(map(len, column)) for name, column in cells.items()}


def _table(columns: Columns, n: int, least: Sequence[str]) -> list[str]:
    cells = _cells(columns, n)
    widths = _widths(cells)
    shown = fitting_columns(widths, least, GAP)
    rows = zip(*(cells[name] for name in shown), strict=True)
    return [
        (" " * GAP).join(f"{cell:>{widths[name]}}" for name, cell in zip(shown, row, strict=True))
        for row in rows
    ]
