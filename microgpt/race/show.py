"""What a race shows: how far it is, the table as it stands, and its report at the end."""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from microgpt.config import TrainConfig
from microgpt.console import Display, duration
from microgpt.intervals import Interval
from microgpt.machine.budget import format_bytes
from microgpt.race.files import write_files
from microgpt.race.plan import MOST_SEEDS, Plan
from microgpt.race.race import PLAN_FILE, Race
from microgpt.race.report import Finding, Judgement, Report, report, what_steps
from microgpt.race.results import RESULTS_FILE
from microgpt.race.runs import purposes
from microgpt.race.statistics import Pair
from microgpt.terminal.fitting import fitted
from microgpt.terminal.invocation import pasteable

LINE_SECONDS = 10.0  # between lines off a terminal
LIVE_SECONDS = 0.5  # between two looks at the table on one


class Scoreboard:
    """Shows a race to a person; with `as_json`, also its results and its report on standard output."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._display = Display()
        self._as_json = as_json
        self._live: Live | None = None
        self._begun = time.monotonic()
        self._shown_at = 0.0
        self._line_at = self._begun
        self._work_done = 0.0
        self._condition = ""

    def note(self, text: str) -> None:
        self._display.note(text)

    def working(self, what: str, so_far: str) -> None:
        self._display.working(what, so_far)

    def idle(self) -> None:
        self._display.idle()

    def started(self, race: Race) -> None:
        """Say what is left to do."""
        plan = race.plan
        self._begun = self._line_at = time.monotonic()
        self._condition = plan.places()[0].name
        steps = sorted({entry.open.steps for entry in race.entries})
        self.note(
            f"{', '.join(plan.entrants)}: {' or '.join(f'{n:,}' for n in steps)} steps, results in "
            f"{race.directory}"
        )
        for line in warnings(plan):
            self.note(line)

    def finished_a_run(self, race: Race, row: dict[str, Any]) -> None:
        self._condition = row["condition"]
        self._work_done += race.typical_seconds(row["condition"], row["entrant"], row["steps"])
        if self._as_json:
            print(json.dumps(row), flush=True)
        if row["problem"] is not None and not self._display.live:
            self.note(f"{row['condition']}, {row['entrant']}, rate {row['lr']:g}: {row['problem']}")

    def looked(self, race: Race) -> None:
        now = time.monotonic()
        if self._display.live and now - self._shown_at > LIVE_SECONDS:
            self._shown_at = now
            if self._live is None:
                self._live = Live(console=self._display.console, transient=True, auto_refresh=False)
                self._live.start()
            progress = Text(self._progress(race))
            table = as_rich(
                ["", "rate", "runs", "bits/char"], _so_far(race, self._condition), self._condition
            )
            self._live.update(Group(table, progress), refresh=True)
        elif not self._display.live and now - self._line_at > LINE_SECONDS:
            self._line_at = now
            self.note(self._progress(race))

    def _progress(self, race: Race) -> str:
        done = race.runs_done
        line = f"{done:,} of {done + race.runs_left:,} runs"
        if race.runs_left == 0:
            return line
        elapsed = time.monotonic() - self._begun
        left = race.seconds_left / race.n_workers
        if self._work_done:  # as this machine has done until now
            left = race.seconds_left * elapsed / self._work_done
        return f"{line}, {race.n_workers} at a time, about {duration(left)} left"

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._display.close()

    def finished(self, race: Race, earlier: Mapping[str, Plan], *, done: bool) -> None:
        """Write the files and print the report; where the race is not done, also the command that goes on."""
        self.close()
        found = report(race.plan, race.results.rows, race.results.bits, race.seconds, earlier)
        counts_for = purposes(race.entries, race.results.bits, race.seconds)
        files = write_files(race.directory, race.results.rows, counts_for, found, self.note)
        if self._as_json:
            print(json.dumps({"report": found.as_json(), "files": [str(path) for path in files]}), flush=True)
        else:
            print_report(found, race)
            others = [str(path.relative_to(race.directory)) for path in files if path.suffix != ".png"]
            names = ", ".join([PLAN_FILE, RESULTS_FILE, *others])  # a figure is there as SVG and PNG
            print("\n" + fitted(f"in {race.directory}: {names}", 0))
        if not done:
            self._display.note(
                f"{found.left:,} runs are left; to go on: {pasteable('race', race.directory)}", wrapped=False
            )


def warnings(plan: Plan) -> Iterator[str]:
    """What a user should know before the first run."""
    from microgpt.race.statistics import FEWEST_TO_TRUST, least_seeds

    n_pairs = math.comb(len(plan.entrants), 2)
    if plan.seeds < least_seeds(n_pairs):
        pairs = f"{n_pairs} pairs of entrants need" if n_pairs > 1 else "two entrants need"
        yield (
            f"with {_counted(plan.seeds)} no difference can be found, however large: {pairs} at least "
            f"--seeds {least_seeds(n_pairs)}"
        )
    elif plan.seeds < FEWEST_TO_TRUST:
        yield few_seeds(plan.seeds)
    high = [
        entrant
        for entrant in plan.entrants
        if any(_ends_above_0(plan.config(condition, entrant)) for condition in plan.places())
    ]
    if high:
        yield (
            f"the rate of {', '.join(high)} does not go to 0, and differences at such an end often vanish "
            "with the rate: --schedule linear lowers it to 0"
        )
    if plan.with_given_rates:
        yield (
            f"the rate of {', '.join(plan.with_given_rates)} is given, and the others have the best one that "
            "is found, so a difference may be that of the rates: leave --lr away, or give it for all of them"
        )


def few_seeds(n: int) -> str:
    """What to know of the intervals of fewer seeds than FEWEST_TO_TRUST."""
    from microgpt.race.statistics import FEWEST_TO_TRUST

    return (
        f"with {_counted(n)} the intervals are narrower than they should be: from --seeds "
        f"{FEWEST_TO_TRUST} on they can be trusted"
    )


def _ends_above_0(config: TrainConfig) -> bool:
    return config.schedule == "constant" or config.rates.min_lr > 0


def _counted(n_seeds: int) -> str:
    return f"{n_seeds:,} seed{'s' if n_seeds > 1 else ''}"


def estimate(race: Race, n_processes: int, *, as_json: bool) -> None:
    """Print how many runs are left of a race, how long they take, and how much memory."""
    for line in warnings(race.plan):
        Display().note(line)
    race.count()
    seconds = race.seconds_left / n_processes
    resident = max(timing.resident for of in race.timings.values() for timing in of.values())
    further = race.plan.tuning_seeds if any(entry.is_tuned for entry in race.entries) else 0
    if as_json:
        told = {
            "runs": race.runs_left,
            "runs_of_a_further_rate": further,
            "seconds": seconds,
            "processes": n_processes,
            "memory": n_processes * resident or None,  # bytes; null where the system does not say
        }
        print(json.dumps(told))
        return
    more = f", and {further} more for each further rate that an entrant needs" if further else ""
    print(f"{race.runs_left:,} runs{more}\nabout {duration(seconds)}, {n_processes} at a time")
    if resident:
        print(f"about {format_bytes(n_processes * resident)} of memory for {n_processes} processes")


def _so_far(race: Race, condition: str) -> list[list[str]]:
    """A row for each entrant of a condition: its rate, the runs that are done, and their mean."""
    bits = race.results.bits
    rows = []
    for entry in race.entries:
        if entry.condition.name != condition:
            continue
        lr = entry.best_lr(bits)
        if lr is None:
            tried = sum(len(rate.bits) for rate in entry.rates(bits))
            rows.append([entry.entrant, "", f"{tried} of tuning", ""])
            continue
        found = [bits[run.key] for run in entry.judging(lr) if run.key in bits]
        mean = f"{statistics.fmean(found):.4f}" if found else ""
        rows.append([entry.entrant, f"{lr:.2g}", f"{len(found)} of {race.plan.seeds}", mean])
    return rows


def as_rich(header: list[str], rows: list[list[str]], title: str = "") -> Table:
    """A table for a terminal, in which long names are broken."""
    table = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=i > 0)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def as_text(header: list[str], rows: list[list[str]]) -> str:
    """The same table for files and pipes."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def print_report(found: Report, race: Race) -> None:
    """The report on standard output; where nothing can be compared yet, how far the race is."""
    for finding in found.findings:
        print(f"\n{finding.condition}: bits per character of the held-out text")
        if finding.equal_steps is None:
            _print_table(SO_FAR, _so_far(race, finding.condition))
        for judgement, what in (
            (finding.equal_steps, what_steps(finding.equal_steps)),
            (finding.equal_seconds, f"With the seconds of {found.plan.first}"),
        ):
            if judgement is not None:
                heading = (
                    f"{what}, {_counted(len(judgement.seeds))}: {verdict(judgement, found.plan.entrants)}"
                )
                print("\n" + fitted(heading, 0))
                _print_table(STANDINGS, standing_rows(finding, judgement))
                print()
                _print_table(PAIRS, [pair_row(pair) for pair in judgement.verdict.pairs])
                for line in remarks(judgement, found.plan):
                    print(fitted(line, 0))
    for note in (*found.notes, HOW_TO_READ):
        print("\n" + fitted(note, 0))


HOW_TO_READ = (
    "A pair has a winner if its 95% interval leaves out 0 and p is at most 0.05; p is adjusted for all pairs "
    "of the table by Holm's method. Otherwise the difference is within the bound at 95%."
)


def remarks(judgement: Judgement, plan: Plan) -> Iterator[str]:
    """What a table of pairs does not have room for."""
    needed = max((pair.seeds_needed or 0 for pair in judgement.verdict.pairs), default=0)
    if needed:
        number = f"{needed:,}" if needed <= MOST_SEEDS else f"more than {MOST_SEEDS:,}"
        yield f"to find a difference of {plan.smallest_difference:g} in every pair: {number} seeds"
    if len(judgement.seeds) > 2 and np.ptp(judgement.losses, axis=1).all():
        among = np.atleast_2d(np.corrcoef(judgement.losses))[np.triu_indices(len(judgement.names), 1)]
        low, high = among.min(), among.max()
        yield f"correlation of the losses with the same seeds: {low:.2f}" + (
            f" to {high:.2f}" if len(among) > 1 else ""
        )


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    if sys.stdout.isatty():
        Console(highlight=False, emoji=False).print(as_rich(header, rows))
    else:
        print(as_text(header, rows))


SO_FAR = ["", "rate", "runs", "bits/char"]
STANDINGS = ["", "rate", "steps", "seconds", "bits/char", "95% interval"]
PAIRS = ["", "difference", "95% interval", "p (Holm)", "found"]


def standing_rows(finding: Finding, judgement: Judgement) -> list[list[str]]:
    """The entrants, the best first."""
    sides = {side.name: side for side in finding.sides}
    rows = []
    for standing, steps in zip(judgement.verdict.standings, judgement.steps, strict=True):
        side = sides[standing.name]
        seconds = side.seconds * steps / side.steps
        rate, mean = f"{side.lr:.2g}", f"{standing.mean:.4f}"
        row = [standing.name, rate, f"{steps:,}", _seconds(seconds), mean, _interval(standing.interval)]
        rows.append((standing.mean, row))
    return [row for _, row in sorted(rows, key=lambda each: each[0])]


def verdict(judgement: Judgement, entrants: Collection[str]) -> str:
    """What was found, in a sentence; of the entrants, some may be missing from the judgement."""
    left_out = [name for name in entrants if name not in judgement.names]
    sentence = _verdict(judgement)
    return sentence if not left_out else f"{sentence[:-1]}, and {', '.join(left_out)} cannot be compared."


def _verdict(judgement: Judgement) -> str:
    found = judgement.verdict
    if found.winner is not None:
        others = [name for name in judgement.names if name != found.winner]
        return f"{found.winner} is better than {others[0] if len(others) == 1 else 'every other one'}."
    if len(found.unbeaten) == len(judgement.names):
        return "no difference was found."
    return f"nothing was found to be better than {' or '.join(found.unbeaten)}."


def pair_row(pair: Pair) -> list[str]:
    """A pair, the one with the lower mean first."""
    if pair.difference > 0:
        pair = pair.turned()
    if pair.winner is not None:
        result = "first is better"
    else:
        result = "too few seeds" if pair.within is None else f"within {pair.within:.4f}"
    return [
        f"{pair.first} - {pair.second}",
        f"{pair.difference:.4f}",
        _interval(pair.interval),
        f"{pair.adjusted_p:.4f}",
        result,
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"
