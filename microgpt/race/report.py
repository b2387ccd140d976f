"""What a race has found so far: in each condition the entrants, the pairs and the rates."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgpt.arrays import Floats
from microgpt.model.parameters import Constant, table
from microgpt.race.plan import Plan, differences
from microgpt.race.runs import (
    Bits,
    Entry,
    Rate,
    Run,
    Seconds,
    entries,
    known_runs,
    not_known_yet,
    steps_of_equal_seconds,
)
from microgpt.race.statistics import Verdict, judge, least_seeds


@dataclass(frozen=True)
class Side:
    """One entrant in one condition."""

    name: str
    rates: tuple[Rate, ...]  # that were tried, from the lowest on; empty where the plan gives the rate
    lr: float | None  # with which it was judged; None before it is known
    at_the_edge: bool  # whether the best rate is the last one that may be tried on its side
    steps: int
    seconds: float  # of a run's steps, as they were timed alone on the machine
    done: int  # judging runs that have come to an end
    failed: int  # of these, those that stopped being finite

    @property
    def rates_are_done(self) -> bool:
        """Whether no tuning run is left."""
        return all(rate.done for rate in self.rates)


@dataclass(frozen=True)
class Judgement:
    """The entrants of a condition that can be compared: of all others not enough is known, or runs failed.

    seeds   for which the runs of all these entrants are done
    losses  (entrants, seeds), bits per character of the held-out text
    steps   of each entrant
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    losses: Floats
    steps: tuple[int, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Finding:
    """What the race has found in one condition."""

    condition: str
    sides: tuple[Side, ...]
    equal_steps: Judgement | None  # None where fewer than two entrants can be compared
    equal_seconds: Judgement | None  # the same, or the plan leaves it away


@dataclass(frozen=True)
class Report:
    """What a race has found.

    done, left  runs
    least       seeds without which no difference can be found, however large
    notes       sentences that whoever reads the figures must know
    """

    plan: Plan
    findings: tuple[Finding, ...]
    done: int
    left: int
    least: int
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The report in lists, dictionaries and numbers."""
        values: dict[str, Any] = _plain(self)
        return values | {"plan": self.plan.digest}


def what_steps(judgement: Judgement | None) -> str:
    """How a table or a figure of the plan's own steps is called."""
    equal = judgement is None or len(set(judgement.steps)) == 1
    return "With equal steps" if equal else "With the steps of the plan"


NOT_OVER = (
    "The race is not over: to stop it because there is a winner by now gives a false one in more than 5% of "
    "all races."
)


def report(
    plan: Plan,
    rows: Mapping[str, Mapping[str, Any]],
    bits: Bits,
    seconds: Seconds,
    earlier: Mapping[str, Plan],
) -> Report:
    """What the results say.

    rows     the entries of each result by its key
    earlier  the plans that this race has had, by their digests
    """
    race = entries(plan)
    findings = []
    for condition in plan.places():
        here = [entry for entry in race if entry.condition == condition]
        findings.append(
            Finding(
                condition.name,
                tuple(_side(entry, bits, seconds) for entry in here),
                _judgement(plan, here, bits, None),
                _judgement(plan, here, bits, seconds) if plan.equal_seconds else None,
            )
        )
    known = {run.key: run for run in known_runs(race, bits, seconds)}
    done = sum(key in bits for key in known)
    left = len(known) - done + not_known_yet(race, bits)
    return Report(
        plan,
        tuple(findings),
        done=done,
        left=left,
        least=least_seeds(math.comb(len(plan.entrants), 2)),
        notes=(
            *([NOT_OVER] if left else []),
            *_on_the_plan(plan, rows, known.keys(), earlier),
            *_on_pairing(plan),
            *_on_rates(plan, findings),
            *_on_failures(race, bits, seconds),
        ),
    )


def _side(entry: Entry, bits: Bits, seconds: Seconds) -> Side:
    lr = entry.best_lr(bits)
    rates = tuple(entry.rates(bits)) if entry.is_tuned else ()
    found = [bits[run.key] for run in (entry.judging(lr) if lr is not None else []) if run.key in bits]
    return Side(
        entry.entrant,
        rates,
        lr,
        at_the_edge=lr is not None and len(rates) > 1 and lr in (rates[0].lr, rates[-1].lr),
        steps=entry.open.steps,
        seconds=entry.open.steps * seconds[entry.condition.name][entry.entrant],
        done=len(found),
        failed=sum(map(math.isinf, found)),
    )


def _judgement(plan: Plan, race: Sequence[Entry], bits: Bits, seconds: Seconds | None) -> Judgement | None:
    """At equal steps; with `seconds`, at those that each entrant can take in the time of the first one."""
    runs: dict[str, list[Run]] = {}
    steps: dict[str, int] = {}
    for entry in race:
        lr = entry.best_lr(bits)
        n = entry.open.steps if seconds is None else steps_of_equal_seconds(entry, seconds)
        judging = [] if lr is None else entry.judging(lr, n)
        begun = [run for run in judging if run.key in bits]
        if begun and all(math.isfinite(bits[run.key]) for run in begun):
            runs[entry.entrant], steps[entry.entrant] = judging, n
    if len(runs) < 2:
        return None
    seeds = [i for i in range(plan.seeds) if all(each[i].key in bits for each in runs.values())]
    if not seeds:
        return None
    losses = np.array([[bits[each[i].key] for i in seeds] for each in runs.values()])
    n_pairs = math.comb(len(plan.entrants), 2)
    verdict = judge(tuple(runs), losses, plan.smallest_difference, n_pairs=n_pairs)
    numbers = tuple(seed + 1 for seed in seeds)
    return Judgement(tuple(runs), numbers, losses, tuple(steps.values()), verdict)


def _on_the_plan(
    plan: Plan, rows: Mapping[str, Mapping[str, Any]], known: Collection[str], earlier: Mapping[str, Plan]
) -> Iterator[str]:
    """How many runs were done by other plans than this one, and how those differ."""
    others = Counter(row["plan"] for row in rows.values() if row["plan"] != plan.digest)
    for digest, n in others.items():
        before = earlier.get(digest)
        changes = "" if before is None else f": {'; '.join(differences(before, plan))}"
        of_them = f"{n:,} of the runs were" if n > 1 else "One of the runs was"
        yield f"{of_them} made with another plan{changes or ', which is not known'}."
    if others:
        yield (
            "Whoever changes the seeds, the entrants or the conditions after a look at the results names "
            "false winners more often than in 5% of all races."
        )
    unused = sum(key not in known for key in rows)
    if unused:
        yield f"{unused} runs do not belong to this plan, or to this version of microgpt, and do not count."


def _on_pairing(plan: Plan) -> Iterator[str]:
    """What the runs of a seed have in common."""
    for condition in plan.places():
        configs = [plan.config(condition, entrant) for entrant in plan.entrants]
        walks = {(c.seq_len, c.stride or c.seq_len, c.batch_size, c.order) for c in configs}
        tables = [table(config.architecture(2).sizes) for config in configs]
        drawn = [same for same in zip(*tables, strict=True) if not isinstance(same[0].init, Constant)]
        others = [same[0].name for same in drawn if len({tensor.shape for tensor in same}) > 1]
        what = ["the order in which they read the text"] if len(walks) > 1 else []
        what += [f"the initial values of {', '.join(others)}"] if others else []
        what += ["how large the embeddings are at first"] if len({c.init for c in configs}) > 1 else []
        if what:
            where = f"In the condition {condition.name}, " if len(plan.places()) > 1 else ""
            sentence = f"the runs of a seed differ between entrants in {' and in '.join(what)}."
            yield where + sentence if where else sentence[0].upper() + sentence[1:]


def _on_rates(plan: Plan, findings: Sequence[Finding]) -> Iterator[str]:
    if plan.with_given_rates:
        yield (
            f"The rate of {', '.join(plan.with_given_rates)} was given, and the others had the best one that "
            "was found: a difference may be that of the rates."
        )
    for finding in findings:
        edges = [side.name for side in finding.sides if side.at_the_edge]
        if edges:
            yield (
                f"{finding.condition}: the best rate of {', '.join(edges)} is the last one that was tried on "
                "its side, so a better one may lie beyond."
            )


def _on_failures(race: Sequence[Entry], bits: Bits, seconds: Seconds) -> Iterator[str]:
    """Which entrants are not compared, as a run of theirs has failed."""
    for entry in race:
        lr, name = entry.best_lr(bits), f"{entry.condition.name}: {entry.entrant}"
        if lr is None:
            if not entry.is_open(bits):
                yield f"{name} is not compared: with every rate, some of its runs stopped being finite."
            continue
        kinds = {entry.open.steps: "equal steps"}
        if entry.plan.equal_seconds:
            kinds.setdefault(steps_of_equal_seconds(entry, seconds), "equal seconds")
        for steps, kind in kinds.items():
            found = [bits[run.key] for run in entry.judging(lr, steps) if run.key in bits]
            if math.inf in found:
                yield (
                    f"{name} is not compared at {kind}: {found.count(math.inf)} of its {len(found)} runs "
                    "stopped being finite."
                )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "_asdict"):
        return {key: _plain(each) for key, each in value._asdict().items()}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
