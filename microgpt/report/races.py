"""A race as its directory tells it: what `microgpt race` prints of it, and the numbers behind that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microgpt.errors import MicrogptError, shown_path
from microgpt.intervals import Interval
from microgpt.race.command import earlier_plans, opened
from microgpt.race.race import PLAN_FILE
from microgpt.race.report import Finding, Judgement, Report, report, what_steps
from microgpt.race.show import (
    HOW_TO_READ,
    PAIRS,
    STANDINGS,
    few_seeds,
    pair_row,
    remarks,
    standing_rows,
    verdict,
)
from microgpt.race.statistics import FEWEST_TO_TRUST, Pair

MOST_LOSSES = 100  # of an entrant, each of which is a dot


def is_race(directory: Path) -> bool:
    return (directory / PLAN_FILE).exists()


def read(directory: Path) -> Report:
    """What a race has found until now. Raises MicrogptError."""
    race = opened(directory)
    if not race.is_timed or not race.results.rows:
        raise MicrogptError(f"{shown_path(directory)} has no results yet: wait until its first runs are done")
    return report(race.plan, race.results.rows, race.results.bits, race.seconds, earlier_plans(directory))


def as_json(found: Report, name: str, directory: Path) -> dict[str, Any]:
    """The report in lists, dictionaries, numbers and words."""
    return {
        "name": name,
        "directory": shown_path(directory),
        "entrants": list(found.plan.entrants),
        "done": found.done,
        "left": found.left,
        "smallest_difference": found.plan.smallest_difference,
        "findings": [
            {
                "condition": finding.condition,
                "judgements": list(_judgements(finding, found)),
                "rates": list(_rates(finding)),
            }
            for finding in found.findings
        ],
        "notes": list(found.notes),
        "how_to_read": HOW_TO_READ,
    }


def _judgements(finding: Finding, found: Report) -> Iterator[dict[str, Any]]:
    for judgement, what in (
        (finding.equal_steps, what_steps(finding.equal_steps)),
        (finding.equal_seconds, f"With the seconds of {found.plan.first}"),
    ):
        if judgement is not None:
            yield _judgement(judgement, what, finding, found)


def _judgement(judgement: Judgement, what: str, finding: Finding, found: Report) -> dict[str, Any]:
    return {
        "what": what,
        "n_seeds": len(judgement.seeds),
        "verdict": verdict(judgement, found.plan.entrants),
        "standings": [
            {"name": each.name, "mean": each.mean, "interval": _ends(each.interval), "losses": losses}
            for each, losses in zip(
                judgement.verdict.standings, judgement.losses[:, :MOST_LOSSES].round(5).tolist(), strict=True
            )
        ],
        "pairs": [_pair(pair) for pair in judgement.verdict.pairs],
        "tables": [
            {"header": STANDINGS, "rows": standing_rows(finding, judgement)},
            {"header": PAIRS, "rows": [pair_row(pair) for pair in judgement.verdict.pairs]},
        ],
        "remarks": list(_remarks(judgement, found)),
    }


def _remarks(judgement: Judgement, found: Report) -> Iterator[str]:
    if 1 < len(judgement.seeds) < FEWEST_TO_TRUST:
        yield few_seeds(len(judgement.seeds))
    yield from remarks(judgement, found.plan)


def _pair(pair: Pair) -> dict[str, Any]:
    """A pair, the one with the lower mean first, as the table has it."""
    if pair.difference > 0:
        pair = pair.turned()
    return {
        "first": pair.first,
        "second": pair.second,
        "difference": pair.difference,
        "interval": _ends(pair.interval),
        "winner": pair.winner,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _rates(finding: Finding) -> Iterator[dict[str, Any]]:
    """What each entrant came to with each rate that was tried; None where the loss stopped being finite."""
    for side in finding.sides:
        tried = [rate for rate in side.rates if rate.bits]
        yield {
            "name": side.name,
            "chosen": side.lr,
            "lr": [rate.lr for rate in tried],
            "bits": [rate.mean if rate.mean < float("inf") else None for rate in tried],
        }
