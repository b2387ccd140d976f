"""The figures of a race: for each condition its losses, its pairs, its rates and its seconds, as SVG and PNG.

The same report gives the same files, byte by byte. An entrant has one colour and one marker in all of them.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import math
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from microgpt.errors import MicrogptError
from microgpt.files import write_atomically
from microgpt.race.labels import Label, write_beside
from microgpt.race.report import Finding, Judgement, Report, Side, what_steps
from microgpt.race.runs import Rate
from microgpt.race.statistics import Floats, Interval, Pair, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Those of Okabe and Ito (2008), which people with any colour vision tell apart, but for the yellow, which is
# hardly seen on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP"  # of the entrants with the first seven colours, of the next seven, and so on
INK, QUIET, PALE = "#222222", "#666666", "#DDDDDD"
BETTER, WORSE = (0.0, 0.447, 0.698), (0.902, 0.624, 0.0)  # the blue and the orange above
STYLE = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a name is a $
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.5,
    "savefig.dpi": 200,
    "svg.fonttype": "path",  # looks the same everywhere; each text stands beside it as a comment
    "svg.hashsalt": "microgpt",
}
WIDTH, MARGIN = 10.0, 0.2  # inches
IN_BITS = "bits per character of the held-out text"
EQUAL_SECONDS = "With equal seconds"
LONGEST_LINE, LONGEST_IN_A_COLUMN = 24, 14  # characters of a name
FAR_APART = 10  # from this ratio of the longest to the shortest seconds on, their axis is logarithmic


class Look(NamedTuple):
    colour: str
    marker: str


def draw(report: Report, directory: Path) -> list[Path]:
    """Write the figures of each condition, as far as there is something to show; returns their paths.

    Raises MicrogptError where a file cannot be written, and where matplotlib cannot be imported.
    """
    try:
        from matplotlib import style
    except ImportError as error:
        raise MicrogptError(
            f"matplotlib, which draws the figures, cannot be imported ({error}): "
            "pip install 'microgpt-numba[plots]'"
        ) from None
    looks = {
        name: Look(COLOURS[i % len(COLOURS)], MARKERS[i // len(COLOURS) % len(MARKERS)])
        for i, name in enumerate(report.plan.entrants)
    }
    paths = []
    names = file_names([finding.condition for finding in report.findings])
    with style.context(STYLE, after_reset=True), warnings.catch_warnings():
        # of a name in a script that the font lacks
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        for finding, name in zip(report.findings, names, strict=True):
            for what, figure in _figures(finding, looks):
                _settle(figure)
                for format in ("svg", "png"):
                    path = directory / f"{name}-{what}.{format}"
                    content = io.BytesIO()
                    metadata = {"Date": None} if format == "svg" else None
                    figure.savefig(content, format=format, metadata=metadata)
                    write_atomically(path, content.getvalue())
                    paths.append(path)
    return paths


def file_names(conditions: Sequence[str]) -> list[str]:
    """For each condition a name that every file system takes, and no two the same."""
    names: list[str] = []
    taken = set()
    for condition in conditions:
        stem = re.sub(r"[^\w.]+", "-", condition).strip("-._")[:50] or "condition"
        name, i = stem, 1
        while name.casefold() in taken:
            i += 1
            name = f"{stem}-{i}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _figures(finding: Finding, looks: Mapping[str, Look]) -> Iterator[tuple[str, Figure]]:
    if finding.equal_steps or finding.equal_seconds:
        yield "losses", _losses(finding, looks)
    if finding.equal_steps:
        yield (
            "pairs-equal-steps",
            _pairs(finding.condition, finding.equal_steps, what_steps(finding.equal_steps)),
        )
    if finding.equal_seconds:
        yield "pairs-equal-seconds", _pairs(finding.condition, finding.equal_seconds, EQUAL_SECONDS)
    if any(rate.bits for side in finding.sides for rate in side.rates):
        yield "rates", _rates(finding, looks)
    if finding.equal_steps:
        yield "seconds", _seconds(finding, finding.equal_steps, looks)


# --- the losses of all runs


def _losses(finding: Finding, looks: Mapping[str, Look]) -> Figure:
    """A row for each entrant, the best one first: a dot for each run, and the mean with its interval."""
    found = ((what_steps(finding.equal_steps), finding.equal_steps), (EQUAL_SECONDS, finding.equal_seconds))
    judgements = {what: judgement for what, judgement in found if judgement is not None}
    first_what, first = next(iter(judgements.items()))
    names = _best_first(first)
    names += [side.name for side in finding.sides if side.name not in names]
    figure = _page(
        finding.condition,
        sentence(first_what, first),
        "Each dot is a run; runs of one seed are at the same height in all rows. The box is the 95% interval "
        "of the mean, which stands on the right. What is judged is the differences of runs of one seed, not "
        "whether these intervals overlap.",
        height=0.9 + _row(names, 0.5) * len(names),
    )
    panels = figure.subplots(1, len(judgements), sharey=True, squeeze=False)[0]
    sides = {side.name: side for side in finding.sides}
    for axes, (what, judgement) in zip(panels, judgements.items(), strict=True):
        steps = set(judgement.steps)
        also = f", {steps.pop():,} steps" if len(steps) == 1 else ""
        axes.set_title(f"{what}: {_count(len(judgement.seeds), 'seed')}{also}")
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
    panels[0].set_yticks(range(len(names)), [_lines(name) for name in names])
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
        return "no rate stayed finite" if _is_tuned(side) else "its rate is not chosen yet"
    if not equal_steps:
        return "no runs yet, or one stopped being finite"
    if not side.failed:
        return "no runs yet"
    return f"{side.failed} of {_count(side.done, 'run')} stopped being finite"


# --- the pairs


def _pairs(condition: str, judgement: Judgement, what: str) -> Figure:
    """A table of each entrant minus each other one."""
    found = judgement.verdict.pairs
    names = _best_first(judgement)
    n = len(names)
    pairs = {(pair.first, pair.second): pair for pair in (*found, *map(_reversed, found))}
    won = sum(pair.winner is not None for pair in found)
    title = f"{what}, {won or 'none'} of {len(found)} pairs {'has' if won < 2 else 'have'} a winner"
    digits = _digits(found)
    figure = _page(
        condition,
        sentence(what, judgement) if n == 2 else title,
        f"In each cell: the mean loss of the row minus that of the column, in {IN_BITS}. Blue: the row is "
        "better; orange: the column is better; below the difference is its 95% interval. White: no winner; "
        "below it is how large the difference is at most, at 95%.",
        height=0.3 + _row(names, 0.4, LONGEST_IN_A_COLUMN) + _row(names, 0.52) * n,
        width=max(6.5, 1.9 + (0.66 + 0.13 * digits) * n),
    )
    axes = figure.subplots()
    strongest = max((abs(pair.difference) for pair in found if pair.winner), default=1.0)
    for (row, first), (column, second) in itertools.permutations(enumerate(names), 2):
        _cell(axes, row, column, pairs[first, second], strongest, digits)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_yticks(range(n), [_lines(name) for name in names])
    axes.set_xticks(range(n), [_lines(name, LONGEST_IN_A_COLUMN) for name in names])
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


# --- the rates


def _rates(finding: Finding, looks: Mapping[str, Look]) -> Figure:
    """A panel for each entrant with its curve, and those of the others in grey behind it."""
    sides = [side for side in finding.sides if side.rates]
    n = len(sides)
    n_columns = n if n < 4 else 3 if n in (5, 6, 9) else 4
    n_rows = math.ceil(n / n_columns)
    low, high = _range_of_rates(sides)
    cut = any(high < rate.mean < math.inf for side in sides for rate in side.rates)
    figure = _page(
        finding.condition,
        _on_rates(sides),
        " ".join(_about_rates(sides, cut=cut)),
        height=0.4 + (1.8 + _row([side.name for side in sides], 0.4)) * n_rows,
    )
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for axes, side in zip(panels.flat, sides, strict=False):
        axes.set_title(_lines(side.name))
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
    _log_ticks(axes, 4)
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
    if not all(map(_is_tuned, sides)):
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
    yield f"Each point is the mean of {_count(n_seeds, 'tuning seed')}, and the band its standard error."
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


def _is_tuned(side: Side) -> bool:
    return all(rate.done for rate in side.rates)


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


def _log_ticks(axes: Axes, most: int) -> None:
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


# --- the seconds


def _seconds(finding: Finding, equal_steps: Judgement, looks: Mapping[str, Look]) -> Figure:
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
    figure = _page(finding.condition, title, below, height=4.6)
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
        _log_ticks(axes, 8)
    else:
        room = max(0.12 * (longest - shortest), 0.05 * longest)
        axes.set_xlim(shortest - room, longest + room)
    axes.locator_params(axis="y", nbins=7)
    labels = [
        Label(_lines(name, most=3), x, standing.mean, looks[name].colour)
        for name, (x, standing) in points.items()
    ]
    _settle(figure)
    write_beside(figure, axes, labels)
    return figure


def _beside(timed: Judgement, first: str, seconds: Mapping[str, float]) -> dict[str, tuple[float, Standing]]:
    """Where each entrant but the first one stands near its seconds: in turn on its left and on its right."""
    standings = {standing.name: standing for standing in timed.verdict.standings}
    names = [name for name in _best_first(timed) if name != first]
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


# --- what they share


def _page(condition: str, title: str, below: str, *, height: float, width: float = WIDTH) -> Figure:
    """An empty figure: `height` inches between a sentence that says what is seen and one that explains it."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    title = _lines(title, int(9.5 * width))
    below = _lines(below, int(17 * width))
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
    figure.text(side, 1 - 0.18 / total, _lines(condition, 100), va="top", size=9, color=QUIET)
    figure.text(side, 1 - 0.4 / total, title, va="top", size=13)
    figure.text(side, 0.15 / total, below, va="bottom", size=8, color=QUIET, linespacing=1.4)
    return figure


def _settle(figure: Figure) -> None:
    """Give all its final place on the page."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def sentence(what: str, judgement: Judgement) -> str:
    """What was found, for a title."""
    verdict = judgement.verdict
    names = _best_first(judgement)
    best, second, *others = names
    pair = next(pair for pair in verdict.pairs if {pair.first, pair.second} == {best, second})
    pair = _reversed(pair) if pair.second == best else pair
    digits = _digits(verdict.pairs)
    by = f"{abs(pair.difference):.{digits}f}"
    if pair.interval is not None:
        by += f" [{-pair.interval.high:.{digits}f}, {-pair.interval.low:.{digits}f}]"
    if verdict.winner is not None:
        if others:
            return f"{what}, {best} is the best: {by} bits better than the next, {second}"
        return f"{what}, {best} is better than {second} by {by} bits"
    if pair.interval is None:
        return f"{what}, there are too few seeds to find a difference"
    if not others:
        return f"{what}, {best} and {second} differ by at most {pair.within:.{digits}f} bits, if at all"
    if len(verdict.unbeaten) == len(names):
        return f"{what}, no difference between the {len(names)} entrants was found"
    if len(verdict.unbeaten) > 4:
        return f"{what}, {len(verdict.unbeaten)} of {len(names)} entrants lost to no other one"
    return f"{what}, nothing was found to be better than {_listed(verdict.unbeaten, 'or')}"


def _best_first(judgement: Judgement) -> list[str]:
    return [standing.name for standing in sorted(judgement.verdict.standings, key=lambda each: each.mean)]


def _reversed(pair: Pair) -> Pair:
    """The same pair, the second one first."""
    interval = None if pair.interval is None else Interval(-pair.interval.high, -pair.interval.low)
    return dataclasses.replace(
        pair, first=pair.second, second=pair.first, difference=-pair.difference, interval=interval
    )


def _digits(pairs: Sequence[Pair]) -> int:
    """After the point, so that the narrowest interval still has two ends that differ."""
    widths = [pair.interval.high - pair.interval.low for pair in pairs if pair.interval is not None]
    narrowest = min((width for width in widths if width > 0), default=1.0)
    return min(5, max(3, math.ceil(-math.log10(narrowest / 2))))


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text[1:]


def _listed(names: Sequence[str], word: str) -> str:
    *before, last = names
    return f"{', '.join(before)} {word} {last}" if before else last


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    """As a number and its unit, with three digits."""
    for size, unit in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"


def _row(names: Sequence[str], least: float, width: int = LONGEST_LINE) -> float:
    """The height in inches in which each of the names has room."""
    return max(least, 0.1 + 0.16 * max(1 + _lines(name, width).count("\n") for name in names))


def _lines(text: str, width: int = LONGEST_LINE, most: int | None = None) -> str:
    """A text in lines of at most this many characters, all of which can be printed; `most` lines of it."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.fill(printable, width, max_lines=most, placeholder=" ...")
