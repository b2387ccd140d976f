"""The figure of the learning rates that were tried."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from microgpt.arrays import Floats
from microgpt.race.figure_page import PALE, Look, counted, in_lines, log_ticks, page, row_height
from microgpt.race.report import Finding, Side
from microgpt.race.runs import Rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_rates(finding: Finding, looks: Mapping[str, Look]) -> Figure:
    """A panel for each entrant with its curve, and those of the others in grey behind it."""
    sides = [side for side in finding.sides if side.rates]
    n = len(sides)
    n_columns = n if n < 4 else 3 if n in (5, 6, 9) else 4
    n_rows = math.ceil(n / n_columns)
    low, high = _range_of_rates(sides)
    cut = any(high < rate.mean < math.inf for side in sides for rate in side.rates)
    figure = page(
        finding.condition,
        _on_rates(sides),
        " ".join(_about_rates(sides, cut=cut)),
        height=0.4 + (1.8 + row_height([side.name for side in sides], 0.4)) * n_rows,
    )
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for axes, side in zip(panels.flat, sides, strict=False):
        axes.set_title(in_lines(side.name))
        for other in sides:
            if other is not side:
                lrs, means, _ = _curve(other)
                axes.plot(lrs, means, color=PALE, linewidth=1)
        _draw_curve(axes, side, looks[side.name])
    for axes in panels.flat[n:]:
        axes.set_visible(False)
    axes = panels[0, 0]
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_ylim(low, high)
    log_ticks(axes, 4)
    axes.locator_params(axis="y", nbins=5)
    for i, axes in enumerate(panels.flat[:n]):
        if i % n_columns == 0:
            axes.set_ylabel("bits per character")
        if i + n_columns >= n:  # the last one of its column
            axes.set_xlabel("learning rate")
            axes.tick_params(labelbottom=True)
    return figure


def _on_rates(sides: Sequence[Side]) -> str:
    """What is to be said of the rates, for a title."""
    if not all(side.rates_are_done for side in sides):
        return "Not every rate is chosen yet"
    for side in sides:
        if side.lr is None:
            return f"With every rate that was tried, runs of {side.name} stopped being finite"
    edges = [side.name for side in sides if side.at_the_edge]
    if not edges:
        return "Each best rate has worse ones on both sides"
    if len(edges) == 1:
        return f"The best rate of {edges[0]} is the last one tried on its side: a better one may lie beyond"
    number = f"{len(edges)} of {len(sides)} best rates"
    return f"{number} are the last ones tried on their side: better ones may lie beyond"


def _about_rates(sides: Sequence[Side], *, cut: bool) -> Iterator[str]:
    rates = [rate for side in sides for rate in side.rates]
    n_seeds = max(len(rate.bits) for rate in rates)
    yield f"Each point is the mean of {counted(n_seeds, 'tuning seed')}, and the band its standard error."
    if any(rate.bits and not rate.done for rate in rates):
        yield "Where a point is hollow, some of its runs are not done yet."
    if any(side.lr is not None for side in sides):
        yield "The ring is the rate that is judged."
    if any(math.inf in rate.bits for rate in rates):
        yield "A cross at the top is a rate with which runs stopped being finite."
    if cut:
        yield "Lines that leave through the top go to higher losses."
    if len(sides) > 1:
        yield "Grey: the other entrants."


def _curve(side: Side) -> tuple[list[float], Floats, Floats]:
    """The rates with which all runs stayed finite, their means and the standard errors of these."""
    finite = [rate for rate in side.rates if math.isfinite(rate.mean)]
    means = np.array([rate.mean for rate in finite])
    errors = np.array([_standard_error(rate) for rate in finite])
    return [rate.lr for rate in finite], means, errors


def _draw_curve(axes: Axes, side: Side, look: Look) -> None:
    lrs, means, errors = _curve(side)
    axes.fill_between(lrs, means - errors, means + errors, color=look.colour, alpha=0.2, linewidth=0)
    axes.plot(lrs, means, color=look.colour)
    for rate in side.rates:
        if math.isfinite(rate.mean):
            fill = look.colour if rate.done else "white"
            axes.plot(rate.lr, rate.mean, look.marker, color=look.colour, markersize=4, markerfacecolor=fill)
        if math.inf in rate.bits:
            (cross,) = axes.plot(rate.lr, 1.0, "x", color=look.colour, markersize=7, markeredgewidth=1.5)
            cross.set(transform=axes.get_xaxis_transform(), clip_on=False)
        if rate.lr == side.lr:
            axes.plot(rate.lr, rate.mean, "o", color=look.colour, markersize=10, markerfacecolor="none")
            below = axes.annotate(f"{rate.lr:.2g}", (rate.lr, rate.mean), (0, -9), textcoords="offset points")
            below.set(ha="center", va="top", in_layout=False)


def _standard_error(rate: Rate) -> float:
    return float(np.std(rate.bits, ddof=1)) / math.sqrt(len(rate.bits)) if len(rate.bits) > 1 else 0.0


def _range_of_rates(sides: Sequence[Side]) -> tuple[float, float]:
    """Of the losses to show: all, unless some are so high that the differences between the best would not be
    seen. Of those the lines leave through the top."""
    means = sorted(rate.mean for side in sides for rate in side.rates if math.isfinite(rate.mean))
    if not means:
        return 0.0, 1.0
    best = [min(rate.mean for rate in side.rates) for side in sides]
    spread = max(
        2 * (means[len(means) // 2] - means[0]), max(mean for mean in best if math.isfinite(mean)) - means[0]
    )
    high = max(mean for mean in means if mean <= means[0] + 2 * spread)
    room = 0.1 * (high - means[0]) or 0.01
    return means[0] - 2 * room, high + room
