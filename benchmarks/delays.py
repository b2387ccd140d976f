"""Whether the model of benchmarks/scaling.py is right about networks: sums of gradients with delays in them.

    mpiexec -n 2 python -m benchmarks.delays [--rounds 5]

Two processes of one thread share each batch, and every message waits as long as it would take on a network of
some latency and bandwidth. What a step takes then, beside what the model says of it.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.scaling import (
    MODELS,
    NETWORKS,
    Network,
    markdown,
    measure,
    predict,
    shards_of,
    us,
)
from microgpt.arrays import Array
from microgpt.config import TrainConfig
from microgpt.machine.backends import load_backend
from microgpt.machine.budget import Budget
from microgpt.machine.team import Team, joined
from microgpt.model.placed import place
from microgpt.training.trainer import Trainer

TRIED = {"headline": 64, "nanogpt": 12}  # batch sizes
STEPS = 50  # of a turn
NO_NETWORK = Network("none", 0.0, np.inf)


class Delayed:
    """A team whose messages take as long as on a network."""

    def __init__(self, team: Team) -> None:
        self._team, self.network = team, NO_NETWORK

    def __getattr__(self, name: str) -> Any:
        return getattr(self._team, name)

    def exchange_parts(self, sent: Array, counts: Any, received: Array, received_counts: Any) -> None:
        self._wait(received.nbytes * (self._team.size - 1) / self._team.size)
        self._team.exchange_parts(sent, counts, received, received_counts)

    def gather(self, array: Array, counts: Any) -> None:
        self._wait(array.nbytes * (self._team.size - 1) / self._team.size)
        self._team.gather(array, counts)

    def _wait(self, n_bytes: float) -> None:
        """For what the network takes; a sleep would be too coarse."""
        end = time.perf_counter() + self.network.latency * (self._team.size - 1)
        end += n_bytes / self.network.bytes_per_s
        while time.perf_counter() < end:
            pass


def steps(team: Team, name: str, batch_size: int, rounds: int) -> Iterator[tuple[Network, float]]:
    """The seconds of a step for each network, in turns; on the first process alone they are of use."""
    ids = np.random.default_rng(0).integers(0, 65, 500_000).astype(np.uint8)
    config = TrainConfig(
        "no file", threads=1, memory_cap="none", **MODELS[name][0] | {"batch_size": batch_size}
    )
    k = load_backend(config.backend)
    k.set_threads(1)
    delayed = Delayed(team)
    trainer = Trainer(place(k, config.architecture(65), Budget(None)), config, ids, delayed)  # type: ignore[arg-type]
    networks = (NO_NETWORK, *reversed(NETWORKS))
    found: dict[Network, list[float]] = {network: [] for network in networks}
    for turn in range(rounds + 1):
        for network in networks:
            delayed.network = network
            n = 1 if turn == 0 else STEPS
            begin = time.perf_counter()
            trainer.advance(n if team.leads else team.next_order())
            if turn:
                found[network].append((time.perf_counter() - begin) / n)
    for network, seconds in found.items():
        yield network, statistics.median(seconds)


def main(rounds: Annotated[int, typer.Option(min=1, help="Turns of each measurement.")] = 5) -> None:
    """A step of two processes with delays put into their sum, beside the model's prediction."""
    team = joined()
    if team is None or team.size != 2:
        print("delays: start it with mpiexec -n 2", file=sys.stderr)
        raise typer.Exit(2)
    rows = []
    for name, batch_size in TRIED.items():
        n_shards, sequences = shards_of(MODELS[name][0], batch_size)
        parts = measure(MODELS[name][0], sequences, rounds).parts if team.leads else None
        for network, seconds in steps(team, name, batch_size, rounds):
            if parts is not None:
                expected = predict(parts, n_shards, 1, 2, network).seconds
                difference = f"{expected / seconds - 1:+.0%}"
                rows.append([name, f"{batch_size}", network.name, us(expected), us(seconds), difference])
    if team.leads:
        header = ("model", "batch", "network", "model says", "measured", "difference")
        print(markdown(header, rows))
    team.dismiss()


if __name__ == "__main__":
    typer.run(main)
