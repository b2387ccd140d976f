"""The figure of the losses against the seconds of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from microgpt.race.figure_page import IN_BITS, Look, in_lines, log_ticks, page, settle
from microgpt.race.figure_titles import best_first, sentence
from microgpt.race.labels import Label, write_beside
from microgpt.race.report import Finding, Judgement, what_steps
from microgpt.race.statistics import Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR_APART = 10  # from this ratio of the longest to the shortest seconds on, their axis is logarithmic


def draw_seconds(finding: Finding, equal_steps: Judgement, looks: Mapping[str, Look]) -> Figure:
    """The loss of each entrant against its seconds, and what it comes to in those of the first entrant."""
    timed = finding.equal_seconds
    first = finding.sides[0].name
    compared = {first, *equal_steps.names}
    seconds = {side.name: side.seconds for side in finding.sides if side.name in compared}
    below = (
        "Filled: at the seconds that these take alone on the machine. The vertical lines "
        "are the 95% intervals of the means."
    )
    if timed is not None:
        title = sentence(f"In the time of {first}, {_duration(seconds[first])}", timed)
        below += (
            f" Hollow: with as many steps as take the time of {first}, a little to its left and right, so "
            "that none hides another."
        )
    else:
        fastest, *_, slowest = sorted(equal_steps.names, key=seconds.__getitem__)
        times = _duration(seconds[fastest]), _duration(seconds[slowest])
        title = (
            f"{what_steps(equal_steps)}, a run of {fastest} takes {times[0]}, and one of {slowest} {times[1]}"
        )
    figure = page(finding.condition, title, below, height=4.6)
    axes = figure.subplots()
    axes.set_xlabel("seconds of a run")
    axes.set_ylabel(f"{IN_BITS}\n(lower is better)")
    points = {each.name: (seconds[each.name], each) for each in equal_steps.verdict.standings}
    later = {} if timed is None else _beside(timed, first, seconds)
    for name, (x, standing) in points.items():
        look = looks[name]
        if name in later:
            x_later, after = later[name]
            axes.plot([x, x_later], [standing.mean, after.mean], color=look.colour, linewidth=0.8, alpha=0.6)
            _loss_at(axes, x_later, after, look, filled=False)
        _loss_at(axes, x, standing, look, filled=True)
    axes.margins(0.12, 0.08)
    shortest, longest = min(seconds.values()), max(seconds.values())
    if longest > FAR_APART * shortest:
        axes.set_xscale("log")
        log_ticks(axes, 8)
    else:
        room = max(0.12 * (longest - shortest), 0.05 * longest)
        axes.set_xlim(shortest - room, longest + room)
    axes.locator_params(axis="y", nbins=7)
    labels = [
        Label(in_lines(name, most=3), x, standing.mean, looks[name].colour)
        for name, (x, standing) in points.items()
    ]
    settle(figure)
    write_beside(figure, axes, labels)
    return figure


def _beside(timed: Judgement, first: str, seconds: Mapping[str, float]) -> dict[str, tuple[float, Standing]]:
    """Where each entrant but the first one stands near its seconds: in turn on its left and on its right."""
    standings = {standing.name: standing for standing in timed.verdict.standings}
    names = [name for name in best_first(timed) if name != first]
    step = (max(seconds.values()) / min(seconds.values())) ** 0.012
    return {
        name: (seconds[first] * (step if i % 2 else 1 / step), standings[name])
        for i, name in enumerate(names)
    }


def _loss_at(axes: Axes, x: float, standing: Standing, look: Look, *, filled: bool) -> None:
    if standing.interval is not None:
        axes.plot([x, x], standing.interval, color=look.colour, linewidth=1)
    fill = look.colour if filled else "white"
    axes.plot(x, standing.mean, look.marker, color=look.colour, markersize=7, markerfacecolor=fill)


def _duration(seconds: float) -> str:
    """As a number and its unit, with three digits."""
    for size, unit in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"
