"""The figure of the losses of all runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from microgpt.race.figure_page import (
    EQUAL_SECONDS,
    IN_BITS,
    PALE,
    QUIET,
    Look,
    counted,
    in_lines,
    page,
    row_height,
)
from microgpt.race.figure_titles import best_first, sentence
from microgpt.race.report import Finding, Judgement, Side, what_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_losses(finding: Finding, looks: Mapping[str, Look]) -> Figure:
    """A row for each entrant, the best one first: a dot for each run, and the mean with its interval."""
    found = ((what_steps(finding.equal_steps), finding.equal_steps), (EQUAL_SECONDS, finding.equal_seconds))
    judgements = {what: judgement for what, judgement in found if judgement is not None}
    first_what, first = next(iter(judgements.items()))
    names = best_first(first)
    names += [side.name for side in finding.sides if side.name not in names]
    figure = page(
        finding.condition,
        sentence(first_what, first),
        "Each dot is a run; runs of one seed are at the same height in all rows. The box is the 95% interval "
        "of the mean, which stands on the right. What is judged is the differences of runs of one seed, not "
        "whether these intervals overlap.",
        height=0.9 + row_height(names, 0.5) * len(names),
    )
    panels = figure.subplots(1, len(judgements), sharey=True, squeeze=False)[0]
    sides = {side.name: side for side in finding.sides}
    for axes, (what, judgement) in zip(panels, judgements.items(), strict=True):
        steps = set(judgement.steps)
        also = f", {steps.pop():,} steps" if len(steps) == 1 else ""
        axes.set_title(f"{what}: {counted(len(judgement.seeds), 'seed')}{also}")
        axes.set_xlabel(f"{IN_BITS}\n(lower is better)")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=7)
        for row, name in enumerate(names):
            axes.axhline(row + 0.5, color=PALE, linewidth=0.5)
            if name in judgement.names:
                _loss_row(axes, row, judgement, name, looks[name])
            else:
                text = _why_missing(sides[name], equal_steps=judgement is finding.equal_steps)
                axes.text(0.02, row, text, transform=axes.get_yaxis_transform(), va="center", color=QUIET)
    panels[0].set_yticks(range(len(names)), [in_lines(name) for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def _loss_row(axes: Axes, row: int, judgement: Judgement, name: str, look: Look) -> None:
    at = judgement.names.index(name)
    standing = judgement.verdict.standings[at]
    losses = judgement.losses[at]
    # heights that look random and are the same for a seed everywhere
    heights = np.array(judgement.seeds) * (math.sqrt(5) - 1) / 2 % 1
    size = np.clip(400 / len(losses), 6, 22)
    axes.scatter(
        losses, row + 0.34 * heights, s=size, color=look.colour, marker=look.marker, alpha=0.4, linewidths=0
    )
    top, bottom = row - 0.32, row - 0.1
    if standing.interval is not None:
        axes.fill_betweenx([top, bottom], *standing.interval, color=look.colour, linewidth=0)
    colour = look.colour if standing.interval is None else "white"
    axes.plot([standing.mean] * 2, [top, bottom], color=colour, linewidth=1, solid_capstyle="butt")
    differ = len(set(judgement.steps)) > 1
    beside = axes.get_yaxis_transform()
    axes.text(1.02, row - (0.12 if differ else 0), f"{standing.mean:.4f}", transform=beside, va="center")
    if differ:
        steps = f"{judgement.steps[at]:,} steps"
        axes.text(1.02, row + 0.2, steps, transform=beside, va="center", size=7.5, color=QUIET)


def _why_missing(side: Side, *, equal_steps: bool) -> str:
    if side.lr is None:
        return "no rate stayed finite" if side.rates_are_done else "its rate is not chosen yet"
    if not equal_steps:
        return "no runs yet, or one stopped being finite"
    if not side.failed:
        return "no runs yet"
    return f"{side.failed} of {counted(side.done, 'run')} stopped being finite"
