"""The page that each figure of a race has, and what they write alike."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, PALE = "#222222", "#666666", "#DDDDDD"
WIDTH, MARGIN = 10.0, 0.2  # inches
IN_BITS = "bits per character of the held-out text"
EQUAL_SECONDS = "With equal seconds"
LONGEST_LINE, LONGEST_IN_A_COLUMN = 24, 14  # characters of a name


class Look(NamedTuple):
    """Of an entrant, in all figures."""

    colour: str  # as #rrggbb
    marker: str


def page(condition: str, title: str, below: str, *, height: float, width: float = WIDTH) -> Figure:
    """An empty figure: `height` inches between a sentence that says what is seen and one that explains it."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    title = in_lines(title, int(9.5 * width))
    below = in_lines(below, int(17 * width))
    head = 0.5 + 0.22 * (1 + title.count("\n"))
    foot = 0.25 + 0.16 * (1 + below.count("\n"))
    total = head + height + foot
    side = MARGIN / width
    figure = Figure(
        figsize=(width, total),
        layout=ConstrainedLayoutEngine(
            rect=(side, foot / total, 1 - 2 * side, height / total),
            h_pad=0.05,
            w_pad=0.05,
            hspace=0.04,
            wspace=0.03,
        ),
    )
    figure.text(side, 1 - 0.18 / total, in_lines(condition, 100), va="top", size=9, color=QUIET)
    figure.text(side, 1 - 0.4 / total, title, va="top", size=13)
    figure.text(side, 0.15 / total, below, va="bottom", size=8, color=QUIET, linespacing=1.4)
    return figure


def settle(figure: Figure) -> None:
    """Give all its final place on the page."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def log_ticks(axes: Axes, most: int) -> None:
    """As many round numbers on the logarithmic x axis as there is room for."""
    low, high = axes.get_xlim()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            break
    axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def row_height(names: Sequence[str], least: float, width: int = LONGEST_LINE) -> float:
    """The height in inches in which each of the names has room."""
    return max(least, 0.1 + 0.16 * max(1 + in_lines(name, width).count("\n") for name in names))


def in_lines(text: str, width: int = LONGEST_LINE, most: int | None = None) -> str:
    """A text in lines of at most this many characters, all of which can be printed; `most` lines of it."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.fill(printable, width, max_lines=most, placeholder=" ...")
