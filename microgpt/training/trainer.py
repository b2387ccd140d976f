"""Training: a model, a text and Adam's moments on a backend, and the steps that change them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from microgpt.arrays import Array, IdArray, all_finite
from microgpt.config import TrainConfig
from microgpt.errors import NotFiniteError
from microgpt.machine.cores import choose_threads
from microgpt.machine.team import Team
from microgpt.model.activations import activations, in_order
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import (
    count,
    decay_blocks,
    fill,
    initial_blocks,
    initially,
    slot_views,
    table,
)
from microgpt.model.placed import PlacedModel
from microgpt.model.shards import Sharing, of_rank, sharing
from microgpt.model.steps import Adam, Batch, Training, build_shared_training, build_training
from microgpt.model.transformer import Step
from microgpt.text.opening import text_name
from microgpt.text.walk import Walk, check_long_enough, shuffle_order
from microgpt.training.exchange import Exchanger

BETA1, EPS = 0.9, 1e-8
# how many steps fit into the log; then Python must read it
LOG_SLOTS = 1024


@dataclass(frozen=True)
class Losses:
    """What n steps have logged, one value each."""

    loss: Array
    grad_norm: Array


def threads_for(k: ModuleType, architecture: Architecture, config: TrainConfig) -> int:
    """How many threads a run uses for its steps. Raises MicrogptError where this machine has fewer cores."""
    flop, n_shards = architecture.flop_per_step(config.batch_size), config.n_shards(k.max_shards())
    return choose_threads(config.threads, flop, n_shards)


def shared_out(
    k: ModuleType, architecture: Architecture, config: TrainConfig, team: Team | None = None
) -> Sharing:
    """How a run's threads, in each of its processes, share its batch.

    Raises MicrogptError where this machine has too few cores.
    """
    n_shards = config.n_shards(k.max_shards())
    own = range(n_shards) if team is None else of_rank(n_shards, team.rank, team.size)
    return sharing(n_shards, own, threads_for(k, architecture, config))


class Trainer:
    """All arrays of a training run. Only `advance` changes them.

    placed  the model to train, whose parameters become the initial ones: the seed in `config` decides them,
            and the order of the chunks
    ids     (X,), the text in unsigned integers; the caller has booked it
    team    the processes that share the work; None for this one alone

    Raises MicrogptError where the text is too short or the arrays exceed the budget.
    """

    def __init__(
        self, placed: PlacedModel, config: TrainConfig, ids: IdArray, team: Team | None = None
    ) -> None:
        stride = config.stride or config.seq_len
        name = text_name(config.file)
        check_long_enough(len(ids), config.seq_len, stride, config.batch_size, name, config.val_fraction)
        self.placed, self.k, self.config, self._team = placed, placed.k, config, team
        self.n_threads = threads_for(placed.k, placed.architecture, config)
        self.exchange_seconds = 0.0  # of all steps so far, with the time that this process waits for others
        self.walk = Walk(len(ids), config.seq_len, stride, config.batch_size)
        self.tensors = table(placed.architecture.sizes)

        k, budget, dtype = placed.k, placed.budget, placed.architecture.dtype
        shared = shared_out(k, placed.architecture, config, team)
        first, stop = shared.own_sequences(config.batch_size)
        a = activations(placed, n_sequences=stop - first, n_slots=shared.n_slots, training=True)
        S, P = shared.n_slots, count(self.tensors)

        shape = (config.batch_size, config.seq_len)

        def real(shape: tuple[int, ...], what: str) -> Array:
            return budget.zeros(k, shape, dtype, what, "use a smaller --d-model, --d-ff or --n-layers")

        def integers(shape: tuple[int, ...], kind: type, what: str) -> Array:
            return budget.zeros(k, shape, kind, what, "use a smaller --batch-size or --seq-len")

        shards = real((S * P,), f"the gradients of shards in {S} slots")
        adam = Adam(
            param=placed.param,
            m=real((P,), "Adam's first moments"),
            v=real((P,), "Adam's second moments"),
            grad=shards if S == 1 else real((P,), "the gradient"),
            shards=shards,
            losses=a.losses if team is None else real((math.prod(shape),), "the losses"),
            bounds=k.to_device(np.array([t.low for t in self.tensors] + [P])),
            norm=real((1,), "the norm of the gradient"),
            lr=real((LOG_SLOTS,), "the learning rates"),
            log=real((LOG_SLOTS, 2), "the log"),
            decay=real((P if config.weight_decay else 0,), "the weight decay of each parameter"),
            clock=k.zeros((2,), np.int64),  # counters of a few bytes are not booked
            beta1=BETA1,
            beta2=config.rates.beta2,
            eps=EPS,
            clip=config.clip,
        )

        n_chunks = self.walk.n_chunks if config.order == "shuffled" else 0
        budget.book(8 * n_chunks, "the order of the chunks", "use a longer --stride, or --order sequential")
        self._order = np.zeros(n_chunks, np.int64)  # permuted anew for each epoch
        self._epoch = -1
        batch = Batch(
            inputs=integers(shape, np.int32, "the batch"),
            targets=integers(shape, np.int32, "the batch's targets"),
            n_targets=k.zeros((1,), np.int64),
            ids=k.to_device(ids),
            order=k.to_device(self._order),  # on a CPU that is the same array
        )
        self.state = Training(
            p=placed.p,
            g=slot_views(shards, self.tensors, S),
            a=a,
            c=placed.c,
            batch=batch,
            adam=adam,
            sharing=shared,
            stride=stride,
        )
        if team is None:
            self._steps = build_training(k)
        else:
            self._exchanger = Exchanger(team, k, config, adam, budget)
            self._steps = self._together(team, build_shared_training(k))
        self._rates = np.zeros(LOG_SLOTS, dtype)
        # last: an array that does not fit has been refused before this memory is written to
        fill(k, placed.param, initial_blocks(initially(self.tensors, config.init), config.seed, dtype))
        if config.weight_decay:
            fill(k, adam.decay, decay_blocks(self.tensors, config.weight_decay, dtype))

    def compile(self) -> None:
        """Compile the step, or load it from the cache: no step is taken."""
        self._steps(0, self.state)

    def _together(self, team: Team, steps: tuple[Step, Step, Step]) -> Step:
        """train(n, state) of several processes."""
        exchanger = self._exchanger
        differentiate, add_up, update = steps

        def train(n: int, state: Training) -> None:
            if n == 0:
                for step, of_step in zip(steps, (state, exchanger.state, state), strict=True):
                    step(0, of_step)
            with team.ending_together():
                for _ in range(n):
                    differentiate(1, state)
                    begin = time.perf_counter()
                    exchanger.send()
                    add_up(1, exchanger.state)
                    exchanger.complete(state.a)
                    self.exchange_seconds += time.perf_counter() - begin
                    update(1, state)

        return train

    @property
    def buffers(self) -> dict[str, Array]:
        """What a checkpoint holds of this trainer, by name: flat buffers (P,) on the backend."""
        adam = self.state.adam
        return {"param": adam.param, "m": adam.m, "v": adam.v}

    @property
    def most_steps(self) -> int:
        """How many steps `advance` takes at the most."""
        return LOG_SLOTS

    @property
    def n_shards(self) -> int:
        """How many shards a batch has."""
        return self.state.sharing.n_shards

    @property
    def step(self) -> int:
        """How many steps are done."""
        return int(self.k.to_host(self.state.adam.clock)[0])

    @property
    def epoch(self) -> float:
        """How often the text has been read."""
        return self.step / self.walk.steps_per_epoch

    def characters(self, step: int) -> int:
        """How many characters this number of steps predicts, on the average of an epoch."""
        return round(step * self.walk.n_targets / self.walk.steps_per_epoch)

    def advance(self, n: int) -> Losses:
        """n more steps, LOG_SLOTS at the most. Raises NotFiniteError: the last finite state is kept."""
        if self._team is not None and self._team.leads:
            self._team.order(n)
        done = 0
        losses, norms = [], []
        while done < n:
            # a new epoch may need a new order, which only Python can make
            epoch, place = divmod(self.step, self.walk.steps_per_epoch)
            part = min(n - done, self.walk.steps_per_epoch - place) if len(self._order) else n - done
            self._reshuffle(epoch)
            log = self._advance(part)
            losses.append(log[:, 0])
            norms.append(log[:, 1])
            done += part
        return Losses(np.concatenate(losses), np.concatenate(norms))

    def _advance(self, n: int) -> Array:
        first = self.step
        slots = np.arange(first, first + n) % LOG_SLOTS
        self._rates[slots] = [self.config.learning_rate(step) for step in range(first, first + n)]
        self.k.from_host(self.state.adam.lr, self._rates)
        with np.errstate(all="ignore"):  # the reference would warn of numbers that the check below finds
            self._steps(n, self.state)
        log: Array = self.k.to_host(self.state.adam.log)[slots]
        if self.k.to_host(self.state.adam.clock)[1]:
            raise NotFiniteError(self._first_bad_array(float(log[self.step - first, 0])))
        return log

    def _reshuffle(self, epoch: int) -> None:
        if len(self._order) and epoch != self._epoch:
            shuffle_order(self._order, self.config.seed, epoch)
            self.k.from_host(self.state.batch.order, self._order)
            self._epoch = epoch

    def _first_bad_array(self, loss: float) -> str:
        """Which array is the first that is not finite, in the order in which a step computes them."""
        arrays = [(f"the parameter {name!r}", array) for name, array in self.state.p._asdict().items()]
        arrays += in_order(self.state.a)
        arrays += [(f"the gradient {name!r}", array) for name, array in self.state.g._asdict().items()]
        bad = (where for where, array in arrays if not all_finite(self.k.to_host(array)))
        other = "" if self._team is None else "an array of another process or "
        where = next(bad, f"{other}the sum of the gradients")
        what = "the loss is not finite" if not math.isfinite(loss) else "the gradient is not finite"
        return f"{what} at step {self.step + 1}: {where} is the first array with a NaN or an infinity"

    def host(self, name: str) -> Array:
        """The optimizer's buffer of this name, as param, m or v, on the host: on a CPU, the buffer itself."""
        values: Array = self.k.to_host(getattr(self.state.adam, name))
        return values

    def continue_from(self, step: int) -> None:
        """Go on as after this step, whose parameters and moments the caller has written to the buffers."""
        self.k.from_host(self.state.adam.clock, np.array([step, 0]))
