"""What was found, for the title of a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from microgpt.race.report import Judgement
from microgpt.race.statistics import Pair


def sentence(what: str, judgement: Judgement) -> str:
    """What was found, for a title."""
    verdict = judgement.verdict
    names = best_first(judgement)
    best, second, *others = names
    pair = next(pair for pair in verdict.pairs if {pair.first, pair.second} == {best, second})
    pair = pair.turned() if pair.second == best else pair
    digits = digits_of(verdict.pairs)
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


def best_first(judgement: Judgement) -> list[str]:
    return [standing.name for standing in sorted(judgement.verdict.standings, key=lambda each: each.mean)]


def digits_of(pairs: Sequence[Pair]) -> int:
    """After the point, so that the narrowest interval still has two ends that differ."""
    widths = [pair.interval.high - pair.interval.low for pair in pairs if pair.interval is not None]
    narrowest = min((width for width in widths if width > 0), default=1.0)
    return min(5, max(3, math.ceil(-math.log10(narrowest / 2))))


def _listed(names: Sequence[str], word: str) -> str:
    *before, last = names
    return f"{', '.join(before)} {word} {last}" if before else last
