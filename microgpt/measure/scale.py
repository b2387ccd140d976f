"""How much faster one model trains on more cores: on 1, 2, 4 ... threads, and with mpiexec in more processes.

All of them compute the same steps, bit for bit. Each takes a turn of some steps, then the next one, again and
again, so that what else the machine does for a while slows down all of them; the median turn counts. Then
the batch is doubled until more cores make a step faster. All processes do the same here, since they have the
same options; what depends on a clock, the first one decides.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple, TypeVar, cast

from microgpt.arrays import IdArray
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.machine.backends import Listener, compiled
from microgpt.machine.budget import Budget
from microgpt.machine.cores import available_cores
from microgpt.machine.team import Team
from microgpt.model.placed import place
from microgpt.text.walk import minimum_characters
from microgpt.training.trainer import LOG_SLOTS, Trainer

TURNS = 7  # whose median counts; one more comes before them, which touches memory for the first time
TURN_SECONDS = 0.1  # a turn has fewer steps than it was told where they take longer
# More cores help where they make a step so many times as fast as half of them.
MARGIN = 1.1
# The search for such a batch ends at this size, or where a step of it takes so long, in seconds.
LARGEST_BATCH, LONGEST_STEP = 1024, 0.3
T = TypeVar("T")


class Rung(NamedTuple):
    """So many processes with so many threads each."""

    processes: int
    threads: int

    @property
    def cores(self) -> int:
        return self.processes * self.threads

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return threads if self.processes == 1 else f"{self.processes} processes of {threads}"


@dataclass(frozen=True)
class Speed:
    """How fast one batch size is trained on one rung."""

    batch_size: int
    shards: int
    processes: int
    threads: int  # of each process
    steps_per_s: float  # of the median turn
    speedup: float  # beside the first rung that was measured with it
    efficiency: float  # the speedup for each core
    exchange_us: float  # of a step: until the first process has the gradients of all; 0 for a single process
    exchange_share: float  # of the step's time


@dataclass(frozen=True)
class Turning:
    """From which batch size on a rung is faster than the one below it."""

    processes: int
    threads: int
    fewer_processes: int
    fewer_threads: int
    helps_from: int | None  # the batch size; None where none was found
    largest: int  # the largest batch that was tried
    limit: str | None  # why no larger one was tried, where none was found
    speedup: float | None  # at that size


def doubling(most: int) -> list[int]:
    """1, 2, 4 ... and `most`."""
    return [*itertools.takewhile(lambda n: n < most, (1 << i for i in itertools.count())), most]


def ladder(n_processes: int, n_threads: int, most: int) -> list[Rung]:
    """1, 2, 4 ... threads of one process, then 2, 4 ... processes of that; on at most `most` cores."""
    rungs = [Rung(1, n) for n in doubling(n_threads)] + [
        Rung(n, n_threads) for n in doubling(n_processes)[1:]
    ]
    return [rung for rung in rungs if rung.cores <= most]


class Trial:
    """A trainer on one rung, and how long its turns have taken. In each of its processes there is one.

    steps  of a turn, at the most
    """

    def __init__(self, trainer: Trainer, team: Team | None, steps: int) -> None:
        self.trainer, self._team, self._most = trainer, team, min(steps, LOG_SLOTS)
        self._steps = 1
        self.seconds: list[float] = []  # of a step
        self.exchanging: list[float] = []  # of it

    def turn(self) -> None:
        trainer = self.trainer
        trainer.k.set_threads(trainer.n_threads)
        if self._team is not None and not self._team.leads:
            trainer.advance(self._team.next_order())
            return
        n, exchanging, begin = self._steps, trainer.exchange_seconds, time.perf_counter()
        trainer.advance(n)
        self.seconds.append((time.perf_counter() - begin) / n)
        self.exchanging.append((trainer.exchange_seconds - exchanging) / n)
        self._steps = max(1, min(self._most, int(TURN_SECONDS / self.seconds[-1])))

    def result(self) -> tuple[float, float]:
        """The seconds of a step, and those of its exchange of gradients."""
        return statistics.median(self.seconds[1:]), statistics.median(self.exchanging[1:])


class Scale:
    """The rungs of this machine, or of a team, for one model and text.

    steps  of a turn, at the most
    """

    def __init__(
        self,
        config: TrainConfig,
        k: ModuleType,
        ids: IdArray,
        n_characters: int,
        steps: int,
        team: Team | None,
        listener: Listener,
    ) -> None:
        self._listener = listener
        self.config, self.k, self._ids, self._steps, self._team = config, k, ids, steps, team
        self.architecture = config.architecture(n_characters)
        self.rungs = ladder(team.size if team else 1, self._decided(available_cores()), k.max_shards())
        self._teams = {rung: team.first(rung.processes) for rung in self.rungs if team and rung.processes > 1}

    def n_shards(self, batch_size: int) -> int:
        return dataclasses.replace(self.config, batch_size=batch_size).n_shards(self.k.max_shards())

    def speeds(self, batch_size: int, rungs: list[Rung]) -> list[Speed]:
        """Measure these rungs in turns. The first process gets what was found, and the others nothing."""
        self._listener.working("measuring", f"a batch of {batch_size} on {', '.join(map(str, rungs))}")
        rank = self._team.rank if self._team else 0
        own = [rung for rung in rungs if rank < rung.processes]
        trials = on_all(self._team, lambda: [self._trial(batch_size, rung) for rung in own])
        self._compile(trials)
        for _ in range(1 + TURNS):
            for trial in trials:
                trial.turn()
        self._listener.idle()
        if rank > 0:
            return []
        found = [trial.result() for trial in trials]
        first = found[0][0]
        return [
            Speed(
                batch_size, self.n_shards(batch_size), *rung, 1 / seconds, first / seconds,
                first / seconds * rungs[0].cores / rung.cores, 1e6 * exchanging, exchanging / seconds,
            )
            for rung, (seconds, exchanging) in zip(rungs, found, strict=True)
        ]  # fmt: skip

    def turnings(self) -> Iterator[Turning]:
        """From which batch size on each rung helps: one for each but the first."""
        batch_size = tried = 1
        for fewer, more in itertools.pairwise(self.rungs):
            speedup, found = None, False
            while not found and (limit := self._limit(batch_size)) is None:
                if self.n_shards(batch_size) >= more.cores:
                    try:
                        speeds = self.speeds(batch_size, [fewer, more])
                    except MicrogptError:  # on all processes: one of them has no room for it
                        limit = "a larger batch does not fit into memory"
                        break
                    tried, over = batch_size, False
                    if speeds:  # this is the first process
                        speedup = speeds[1].speedup
                        found = speedup >= MARGIN
                        over = not found and 1 / speeds[1].steps_per_s > LONGEST_STEP
                    found = bool(self._decided(found))
                    if self._decided(over):
                        limit = "its steps are long enough to try no larger one"
                        break
                if not found:
                    batch_size *= 2
            yield Turning(*more, *fewer, batch_size if found else None, tried, limit, speedup)

    def _limit(self, batch_size: int) -> str | None:
        """Why a batch of this size cannot be tried; None if it can."""
        seq_len = self.config.seq_len
        if batch_size > LARGEST_BATCH:
            return "larger ones are not tried"
        if minimum_characters(seq_len, seq_len, batch_size) > len(self._ids):
            return "the text is too short for a larger batch"
        return None

    def _trial(self, batch_size: int, rung: Rung) -> Trial:
        config: TrainConfig = dataclasses.replace(self.config, batch_size=batch_size, threads=rung.threads)
        team = self._teams.get(rung)
        placed = place(self.k, self.architecture, Budget(config.memory_cap_bytes))
        return Trial(Trainer(placed, config, self._ids, team), team, self._steps)

    def _compile(self, trials: list[Trial]) -> None:
        """First the first process, so that the others find in the cache what it has compiled."""
        if self._team is not None and not self._team.leads:
            self._team.next_order()
        for trial in trials:
            compiled(self._listener, trial.trainer.compile)
        if self._team is not None and self._team.leads:
            self._team.order(0)

    def _decided(self, n: int) -> int:
        return self._team.decided(n) if self._team else n


def on_all(team: Team | None, make: Callable[[], T]) -> T:
    """What each process makes for itself. Raises MicrogptError on all of them where one cannot."""
    if team is None:
        return make()
    made, problem = None, None
    try:
        made = make()
    except MicrogptError as error:
        problem = str(error)
    team.agree(problem)
    return cast(T, made)
