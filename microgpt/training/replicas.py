"""Training that exchanges little: replicas of one model, which meet after every K steps.

Each replica trains by itself, on a part of the text of its own. When they meet, the mean of their parameters
shows where they want to go. The model moves that way in one step of gradient descent with Nesterov's
momentum, and all replicas go on from there (DiLoCo: Douillard et al. 2023, arXiv:2311.08105, algorithm 1).

Unlike there, all of them also go on with the mean of their moments of Adam: so a checkpoint has the same
size for any number of replicas. Means are added up in one fixed tree, so one seed gives one loss curve, bit
for bit, however the replicas are spread over processes.
"""

from __future__ import annotations

import contextlib
from itertools import pairwise

import numpy as np

from microgpt.arrays import Array, IdArray, blocks
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.machine.team import Team
from microgpt.model.parameters import count, table
from microgpt.model.placed import PlacedModel, place
from microgpt.model.steps import Exchange, build_sum
from microgpt.text.opening import text_name
from microgpt.text.walk import Walk, minimum_characters
from microgpt.training.trainer import LOG_SLOTS, Losses, Trainer

AVERAGED = ("param", "m", "v")
REMEDY = "use fewer --replicas"


def trainer_for(
    placed: PlacedModel, config: TrainConfig, ids: IdArray, team: Team | None = None
) -> Trainer | Replicas:
    """What trains with this configuration."""
    return (Trainer if config.replicas is None else Replicas)(placed, config, ids, team)


class Replicas:
    """All arrays of a run with replicas, or of those replicas that a process of a team has.

    A run uses it as it uses a `Trainer`, but steps count as done in rounds of config.local_steps.

    placed  the model on which the replicas have agreed
    ids     (X,), the text, of which replica r of R has r*X//R up to (r+1)*X//R
    team    the processes that share the replicas out

    Raises MicrogptError where the text is too short, the arrays exceed the budget, or the backend has no
    threads.
    """

    def __init__(
        self, placed: PlacedModel, config: TrainConfig, ids: IdArray, team: Team | None = None
    ) -> None:
        assert config.replicas is not None
        k, budget, R = placed.k, placed.budget, config.replicas
        if k.max_shards() == 1:
            raise MicrogptError(f"replicas are averaged on a CPU, and --backend {config.backend} uses none")
        self.placed, self.k, self.config, self._team = placed, k, config, team
        self._step = self._taken = 0  # steps up to the last meeting, and since then
        self._problem: str | None = None  # what has become of a replica that has failed
        borders = [r * len(ids) // R for r in range(R + 1)]
        self._walks = [_walk(config, high - low) for low, high in pairwise(borders)]
        rank, size = (team.rank, team.size) if team else (0, 1)
        firsts = [i * R // size for i in range(size + 1)]  # of each process's replicas
        self._n_own = [high - low for low, high in pairwise(firsts)]
        self._own = range(firsts[rank], firsts[rank + 1])
        self.trainers = [
            Trainer(place(k, placed.architecture, budget), config, ids[borders[r] : borders[r + 1]])
            for r in self._own
        ]
        self.n_threads, self.n_shards = self.trainers[0].n_threads, self.trainers[0].n_shards

        P = count(table(placed.architecture.sizes))
        self._parts = [i * P // size for i in range(size + 1)]
        low, high = self._parts[rank], self._parts[rank + 1]

        def real(n: int, what: str) -> Array:
            return budget.zeros(k, (n,), placed.architecture.dtype, what, REMEDY)

        # the loss and the gradient's norm of each step since the last meeting: NaN from the one that failed
        self._log = real(R * 2 * config.steps_at_once, "the losses between two meetings").reshape(R, 2, -1)

        self.buffers = {
            "param": placed.param,
            "m": real(P, "the first moments of all replicas"),
            "v": real(P, "the second moments of all replicas"),
            "velocity": real(P, "the velocity of the replicas' common step"),
        }
        self._mean = real(P, "the mean of all replicas")
        self._sent = real(len(self._own) * P, "the replicas of this process")
        self._received = self._sent if team is None else real(R * (high - low), "a part of all replicas")
        self._bounds = k.to_device(np.array([0, high - low]))
        self._add_up = build_sum(k)
        k.from_host(placed.param, k.to_host(self.trainers[0].placed.param))

    def compile(self) -> None:
        """Compile the step, or load it from the cache: no step is taken."""
        self.trainers[0].compile()
        self._add_up(0, self._sum(self._mean))

    @property
    def step(self) -> int:
        """How many steps each replica has done."""
        return self._step

    @property
    def epoch(self) -> float:
        """How often the text has been read."""
        return self._step / self._walks[0].steps_per_epoch

    def characters(self, step: int) -> int:
        """How many characters all replicas predict in this number of steps, on the average of an epoch."""
        return round(sum(step * walk.n_targets / walk.steps_per_epoch for walk in self._walks))

    def host(self, name: str) -> Array:
        """The buffer of this name on the host, which is the buffer itself."""
        values: Array = self.k.to_host(self.buffers[name])
        return values

    def continue_from(self, step: int) -> None:
        """Go on as after this step, whose parameters, moments and velocity the caller has written to the
        buffers."""
        self._step, self._taken = step, 0

    @property
    def most_steps(self) -> int:
        """How many steps `advance` takes at the most: none beyond the next meeting."""
        return min(LOG_SLOTS, self.config.steps_at_once - self._taken)

    def advance(self, n: int) -> Losses:
        """n more steps, but at most `most_steps`. What has been learned since the last meeting is there, and
        counts as done, from the next one on; a run that ends before takes these steps again.

        The losses and norms are the means over all replicas. They come at a meeting, those of all steps since
        the last one; before, there are none. Raises NotFiniteError: the buffers are those of the last
        meeting.
        """
        if self._team is not None and self._team.leads:
            self._team.order(n)
        with self._ending_together():
            self._train(min(n, self.most_steps))
        if self._taken < self.config.steps_at_once:
            if self._problem is not None and (self._team is None or self._team.leads):
                raise NotFiniteError(self._problem)  # a process that does not lead says it when they meet
            return Losses(self._log[0, 0, :0], self._log[0, 1, :0])
        with self._ending_together():
            self._share_the_log()
        if self._problem is not None:
            raise NotFiniteError(self._problem)
        with self._ending_together():
            self._meet()
        self._step, self._taken = self._step + self._taken, 0
        return Losses(*self._log.mean(axis=0))

    def _train(self, n: int) -> None:
        """Let the replicas of this process take n steps by themselves."""
        if self._taken == 0:
            self._log.fill(np.nan)
            for trainer in self.trainers:
                for name in AVERAGED:
                    trainer.buffers[name][:] = self.buffers[name]
                trainer.continue_from(self._step)
        for r, trainer in zip(self._own, self.trainers, strict=True):
            if self._problem is None:
                try:
                    losses = trainer.advance(n)
                except NotFiniteError as error:
                    self._problem = f"replica {r + 1}: {error}"
                else:
                    self._log[r, :, self._taken : self._taken + n] = losses.loss, losses.grad_norm
        self._taken += n

    def _share_the_log(self) -> None:
        """Complete the log of this process, and tell all of them of a replica that has failed."""
        if self._team is not None:
            self._team.gather(self._log.reshape(-1), [n * self._log[0].size for n in self._n_own])
            if not np.isfinite(self._log).all():
                self._problem = self._team.first_of(self._problem)

    def _meet(self) -> None:
        """Take the common step, and the means of the moments."""
        self._average("param", self._mean)
        for name in ("m", "v"):
            self._average(name, self.buffers[name])
        param, velocity, mean = self.buffers["param"], self.buffers["velocity"], self._mean
        rate, momentum = self.config.outer_lr, self.config.outer_momentum
        for low, high in blocks(0, len(param)):
            difference = param[low:high] - mean[low:high]
            velocity[low:high] = momentum * velocity[low:high] + difference
            param[low:high] -= rate * (difference + momentum * velocity[low:high])

    def _average(self, name: str, mean: Array) -> None:
        """mean (P,) = the mean of all replicas' buffers of this name.

        Each process averages a part: it gets that part from all, adds, and sends its sum to all.
        """
        parts = list(pairwise(self._parts))
        begin = 0
        for low, high in parts:
            for trainer in self.trainers:
                end = begin + high - low
                self._sent[begin:end] = trainer.buffers[name][low:high]
                begin = end
        sizes = [high - low for low, high in parts]
        if self._team is not None:
            own = sizes[self._team.rank]
            self._team.exchange_parts(
                self._sent,
                [len(self._own) * size for size in sizes],
                self._received,
                [n * own for n in self._n_own],
            )
        out = self._sum(mean)
        self._add_up(1, out)
        out.out[:] *= 1 / len(self._walks)
        if self._team is not None:
            self._team.gather(mean, sizes)

    def _sum(self, mean: Array) -> Exchange:
        """The sum of what this process has received, into its part of `mean`."""
        rank = self._team.rank if self._team else 0
        part = mean[self._parts[rank] : self._parts[rank + 1]]
        return Exchange(part, self._received, self._bounds)

    def _ending_together(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._team is None else self._team.ending_together()


def _walk(config: TrainConfig, n_characters: int) -> Walk:
    """That of a replica. Raises MicrogptError for a text that is too short for all of them."""
    stride = config.stride or config.seq_len
    minimum = minimum_characters(config.seq_len, stride, config.batch_size)
    if config.replicas != 1 and n_characters < minimum:
        raise MicrogptError(
            f"each of {config.replicas} replicas trains on a part of its own of {text_name(config.file)}, of "
            f"{n_characters} characters, but the options --seq-len, --stride and --batch-size need at least "
            f"{minimum}; {REMEDY}"
        )
    return Walk(n_characters, config.seq_len, stride, config.batch_size)
