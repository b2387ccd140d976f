"""A race from its first run to its last: one process leads, hands out the runs and keeps the results."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from microgpt import __version__
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, shown_path
from microgpt.files import write_atomically
from microgpt.machine.backends import Listener
from microgpt.race.plan import Plan
from microgpt.race.results import Results
from microgpt.race.runs import (
    FIRST_TUNING_SEED,
    Entry,
    Run,
    Seconds,
    due,
    entries,
    known_runs,
    not_known_yet,
)
from microgpt.race.worker import Job, Outcome, Timing, time_in_turns, train
from microgpt.race.workers import Workers
from microgpt.terminal.interruption import finishing_the_step
from microgpt.text.walk import check_long_enough, split

PLAN_FILE, SPEEDS_FILE = "plan.toml", "speeds.json"
# runs that wait in line behind each process, so that none waits for the leading one
IN_LINE = 2
TIMING = "compiling the kernels and timing the entrants in turns"


# What runs take, by condition and entrant
Timings = dict[str, dict[str, Timing]]


class Watcher(Listener, Protocol):
    """Shows a race to its user."""

    def finished_a_run(self, race: Race, row: dict[str, Any]) -> None:
        """Called after each run that is kept."""

    def looked(self, race: Race) -> None:
        """Called about ten times a second."""


@dataclass
class Race:
    """A race in its directory."""

    directory: Path
    plan: Plan
    results: Results
    timings: Timings
    entries: list[Entry]
    n_workers: int = 1
    runs_done: int = 0  # that belong to the plan
    runs_left: int = 0
    seconds_left: float = 0.0  # on one core

    @property
    def is_timed(self) -> bool:
        """Whether every entrant is timed in every condition."""
        return sum(map(len, self.timings.values())) == len(self.entries)

    @property
    def seconds(self) -> Seconds:
        return {
            condition: {name: timing.step for name, timing in each.items()}
            for condition, each in self.timings.items()
        }

    def due(self) -> list[Run]:
        return due(self.entries, self.results.bits, self.seconds)

    def count(self) -> list[Run]:
        """The runs that are due; counts the others, and the seconds of one core that are left, about."""
        bits = self.results.bits
        known = {run.key: run for run in known_runs(self.entries, bits, self.seconds)}
        runs = [run for key, run in known.items() if key not in bits]
        unknown = not_known_yet(self.entries, bits)
        self.runs_done = len(known) - len(runs)
        each = sum(self.seconds_of(_any_run(entry)) for entry in self.entries) / len(self.entries)
        self.runs_left = len(runs) + unknown
        self.seconds_left = sum(map(self.seconds_of, runs)) + unknown * each
        return runs

    def seconds_of(self, run: Run) -> float:
        return self.typical_seconds(run.condition.name, run.entrant, run.config.steps)

    def typical_seconds(self, condition: str, entrant: str, steps: int) -> float:
        """What a run takes alone on the machine."""
        timing = self.timings[condition][entrant]
        return steps * timing.step + timing.evaluation

    def go(self, workers: Workers, watcher: Watcher) -> bool:
        """Run what is missing; returns whether nothing is left, and not where Ctrl-C has ended it."""
        self.n_workers = workers.number
        self.results.open()
        runs = self.count()  # more become known with the best rates
        begun: dict[str, Run] = {}
        with finishing_the_step() as stop:
            watcher.looked(self)
            while not stop():
                while runs and len(begun) < (1 + IN_LINE) * workers.number:
                    run = runs.pop(0)
                    begun[run.key] = run
                    workers.submit(train, Job(run.key, run.config, run.text_sha256))
                if not begun:
                    return True
                outcomes: list[Outcome] = workers.done()
                more = bool(outcomes) and len(runs) < workers.number
                for outcome in outcomes:
                    run = begun.pop(outcome.key)
                    row = self._row(run, outcome)
                    self.results.append(row)
                    self.runs_done += 1
                    self.runs_left -= 1
                    self.seconds_left -= self.seconds_of(run)
                    watcher.finished_a_run(self, row)
                    more = more or self._ends_a_rate(run)
                watcher.looked(self)
                if more:
                    runs = [run for run in self.count() if run.key not in begun]
        return False

    def _ends_a_rate(self, run: Run) -> bool:
        """Whether it was the last tuning run of its rate, so that other runs may have become known."""
        if run.config.seed < FIRST_TUNING_SEED:
            return False
        where = run.condition.name, run.entrant
        entry = next(each for each in self.entries if (each.condition.name, each.entrant) == where)
        return all(each.key in self.results.rows for each in entry.tuning(run.config.rates.lr))

    def _row(self, run: Run, outcome: Outcome) -> dict[str, Any]:
        """The entries of a line of results.jsonl."""
        config = run.config
        return {
            "key": run.key,
            "plan": self.plan.digest,
            "condition": run.condition.name,
            "entrant": run.entrant,
            "lr": config.rates.lr,
            "seed": config.seed,
            "steps": config.steps,
            "bits": outcome.bits,
            "training_nats": outcome.training_nats,
            "problem": outcome.problem,
            "seconds": round(outcome.seconds, 3),
            "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": platform.machine(),
            "microgpt": __version__,
            "numba": version("numba"),
            "numpy": version("numpy"),
        }


def _any_run(entry: Entry) -> Run:
    return entry.run(entry.open.rates.lr, 1)


def settled(plan: Plan) -> Plan:
    """The plan with the facts of its texts, which are read. Raises MicrogptError where a text is not the one
    that the plan was settled with, or too short for it."""
    from microgpt.text.reading import read_text

    texts = [read_text(Path(name)) for name in plan.texts]
    for name, text, sha256 in zip(plan.texts, texts, plan.sha256, strict=False):
        if sha256 and text.sha256 != sha256:
            raise MicrogptError(
                f"{shown_path(name)} is not the text that the race was planned with: its SHA-256 differs"
            )
    for i, text in enumerate(texts):
        for j in range(i):
            if text.sha256 == texts[j].sha256:
                raise MicrogptError(f"{plan.texts[j]} and {plan.texts[i]} are the same text: name it once")
    if plan.characters and plan.characters != tuple(len(text.ids) for text in texts):
        raise MicrogptError("the plan says another number of characters than its texts have")
    facts = dataclasses.replace(
        plan,
        sha256=tuple(text.sha256 for text in texts),
        characters=tuple(len(text.ids) for text in texts),
    )
    for condition in facts.places():
        for entrant in facts.entrants:
            config = facts.config(condition, entrant)
            ids, _ = split(texts[plan.texts.index(condition.text)].ids, config.val_fraction)
            stride = config.stride or config.seq_len
            check_long_enough(
                len(ids), config.seq_len, stride, config.batch_size, condition.text, config.val_fraction
            )
    return facts


def timed(
    plan: Plan, workers: Workers, listener: Listener, turns: int, known: Timings | None = None
) -> Timings:
    """What the runs of each entrant take, in each condition, measured by one process alone in so many turns.

    It also compiles all kernels, before several processes need them at once. Timings that are known are kept,
    so that runs with equal seconds stay what they are.
    """
    timings: Timings = {}
    begun = time.monotonic()
    for condition in plan.places():
        before = (known or {}).get(condition.name, {})
        configs = [plan.config(condition, entrant) for entrant in plan.entrants]
        sha256 = plan.sha256[plan.texts.index(condition.text)]
        workers.submit(_time, (configs, sha256, 0 if len(before) == len(configs) else turns))
        found: list[list[Timing]] = []
        while not found:
            found = workers.done()
            listener.working(TIMING, f"{time.monotonic() - begun:.0f} s")
        timings[condition.name] = dict(zip(plan.entrants, found[0], strict=True)) | before
    listener.idle()
    return timings


def _time(job: tuple[Sequence[TrainConfig], str, int]) -> list[Timing]:
    return time_in_turns(*job)


def save_speeds(directory: Path, plan: Plan, timings: Timings) -> None:
    keys = _keys(plan)
    values = {
        condition: {name: {"of": keys[condition, name], **timing._asdict()} for name, timing in each.items()}
        for condition, each in timings.items()
    }
    write_atomically(directory / SPEEDS_FILE, json.dumps(values, indent=1).encode())


def load_speeds(directory: Path, plan: Plan) -> Timings:
    """The timings of a race that has begun, of all entrants and conditions that are as they were."""
    path = directory / SPEEDS_FILE
    timings: Timings = {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        for (condition, name), key in _keys(plan).items():
            found = values.get(condition, {}).get(name, {})
            if found.pop("of", None) == key:
                timings.setdefault(condition, {})[name] = _timing(found)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise MicrogptError(f"cannot read {shown_path(path)}: {error}") from None
    return timings


def _keys(plan: Plan) -> dict[tuple[str, str], str]:
    """What tells the runs of each condition and entrant from others that take another time."""
    return {(entry.condition.name, entry.entrant): _any_run(entry).key for entry in entries(plan)}


def _timing(values: dict[str, Any]) -> Timing:
    timing = Timing(**values)
    if not (0 < timing.step < math.inf and 0 <= timing.evaluation < math.inf):
        raise ValueError(f"it says that a step takes {timing.step} and an evaluation {timing.evaluation} s")
    return timing
