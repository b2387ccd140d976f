"""The gradient of a batch that several processes share: the sum of what each has computed of it.

Each process adds up a part of the gradient: it gets that part from all the others, adds in the order of the
tree, and sends its sum to all. So each number crosses the network twice, however many processes there are.
MPI only moves numbers here and adds none, since it does not say in which order it would.
"""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType

import numpy as np

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.machine.team import Team
from microgpt.model.activations import Activations
from microgpt.model.shards import of_rank
from microgpt.model.steps import Adam, Exchange


class Exchanger:
    """What a process needs to share a gradient (P,) and the losses (N,) with the others of its team."""

    def __init__(self, team: Team, k: ModuleType, config: TrainConfig, adam: Adam, budget: Budget) -> None:
        B, T, P, R = config.batch_size, config.seq_len, len(adam.grad), team.size
        n_shards = config.n_shards(k.max_shards())
        own = [of_rank(n_shards, rank, R) for rank in range(R)]
        self._team, self._adam = team, adam
        self._rows = [(s.stop * B // n_shards - s.start * B // n_shards) * T for s in own]
        bounds = [rank * P // R for rank in range(R + 1)]
        self._parts = [high - low for low, high in pairwise(bounds)]
        low, high = bounds[team.rank], bounds[team.rank + 1]
        n = sum(map(bool, own))  # processes that have shards
        self._sent = self._parts if own[team.rank] else [0] * R
        self._received = [(high - low) if shards else 0 for shards in own]
        self.state = Exchange(
            out=adam.grad[low:high],
            received=budget.zeros(
                k,
                (n * (high - low),),
                adam.grad.dtype,
                "the gradients of other processes",
                "use fewer processes",
            ),
            bounds=k.to_device(np.array([0, high - low])),
        )

    def send(self) -> None:
        """From the gradient of this process's shards to what all have computed of its part."""
        self._team.exchange_parts(self._adam.grad, self._sent, self.state.received, self._received)

    def complete(self, a: Activations) -> None:
        """From the sums of the parts to the whole gradient, and from the losses of this process to all."""
        self._team.gather(self._adam.grad, self._parts)
        first = sum(self._rows[: self._team.rank])
        self._adam.losses[first : first + len(a.losses)] = a.losses
        self._team.gather(self._adam.losses, self._rows)
