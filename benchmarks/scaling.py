"""How fast training would be on more cores and machines than there are here: a model of the time of a step.

    python -m benchmarks.scaling [--sizes ...] [--machines 16] [--cores 2] [--rounds 5]

The parts of a step are measured on one thread of this machine, and how long two threads wait for each other.
How the parts follow each other on more cores is what microgpt/model/shards.py says. Nothing was measured of
a network: its latency and bandwidth are assumptions, and so is how many cores the memory can serve. The
tables are those of docs/scaling.md; the second one compares the model with what this machine does.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from microgpt_kernels.contract import KERNELS

from benchmarks.gpu_steps import made, repeated
from benchmarks.peers.__main__ import chosen
from benchmarks.peers.problem import GPU_SIZES, SIZES
from microgpt.errors import MicrogptError
from microgpt.machine.cores import available_cores
from microgpt.measure import roofline
from microgpt.measure.roofline import Call
from microgpt.model.shards import FEW, number_of_shards, of_rank, sharing
from microgpt.model.steps import build_shared_training
from microgpt.training.replicas import AVERAGED
from microgpt.training.trainer import Trainer

# Each model with the batches of the tables. The last one of each has 64 shards, the most that there are.
MODELS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "headline": (SIZES["batch"], (32, 1024)),
    "nanogpt": (SIZES["nanogpt"], (12, 64, 512)),
    "10.7M": (GPU_SIZES["nanogpt"], (64, 128)),
}
MOST_SHARDS = 64
CORES = (2, 4, 8, 16, 32, 64)  # of a single machine
LOCAL_STEPS = (30, 100, 500)
TURN_SECONDS = 0.2
BYTES = 4  # of a float32
# Threads wait for each other three times a step: for the gradients, for their sum, and for Adam.
MEETINGS = 3
# Assumed: passes over memory, which are the sum of gradients and Adam, become no faster on more cores.
CORES_OF_MEMORY = 8


class Network(NamedTuple):
    """What connects machines: an assumption."""

    name: str
    latency: float  # seconds, until a message of no bytes has come
    bytes_per_s: float  # each way


NETWORKS = (Network("1 Gbit/s", 50e-6, 125e6), Network("10 Gbit/s", 20e-6, 1.25e9))


class Parts(NamedTuple):
    """The seconds of the parts of a step, each on one thread."""

    n_parameters: int
    shard: float  # forward and backward
    add: float  # the gradient of a shard to another one, within a group
    copy: float  # the gradients of one group, in the sum of those of several
    norm: float  # of the gradient, which a single thread computes
    adam: float
    wait: float  # of two threads, once


class Prediction(NamedTuple):
    """A step on a number of machines with a number of cores each."""

    seconds: float
    exchange: float  # of it, in seconds
    efficiency: float  # sequences a second and core, as a share of those of a single core


def computing(parts: Parts, n_shards: int, own: range, cores: int) -> float:
    """The seconds until a machine has the sum of the gradients of its own shards."""
    threads = min(cores, len(own))
    shared = sharing(n_shards, own, threads)
    n = shared.shards_per_group
    turns = -(-shared.n_groups // threads)
    each = turns * (n * parts.shard + (n - 1) * parts.add)
    together = shared.n_groups * parts.copy if shared.n_groups > 1 else 0.0
    return each + together / min(threads, CORES_OF_MEMORY) + waiting(parts, threads)


def waiting(parts: Parts, threads: int) -> float:
    """Threads meet in pairs, then pairs of pairs: log2 of their number."""
    return MEETINGS * parts.wait * float(np.log2(threads))


def updating(parts: Parts, n_shards: int, cores: int) -> float:
    """The seconds of Adam's step once the gradient is there; each process does all of it."""
    return parts.norm + parts.adam / min(cores, n_shards, CORES_OF_MEMORY)


def exchanging(parts: Parts, n_machines: int, network: Network) -> float:
    """The seconds from the sums of all machines to the whole gradient, and the losses, on each.

    Each machine sends to each other one its part of the gradient, adds up its own, of as many gradients as
    there are machines, and sends the sum. The losses are so few that only their latency counts.
    """
    others = n_machines - 1
    moved = BYTES * parts.n_parameters * others / n_machines
    return 3 * others * network.latency + 2 * moved / network.bytes_per_s + parts.copy


def predict(
    parts: Parts, n_shards: int, cores: int, machines: int = 1, network: Network | None = None, K: int = 1
) -> Prediction:
    """A step of a batch of `n_shards` shards on machines with `cores` cores each.

    K  steps between exchanges. With 1 all machines share each batch. With more each takes K steps on batches
       of its own, then they take the means of parameters and moments: K steps learn from K batches on each.
    """
    single = computing(parts, n_shards, range(n_shards), 1) + updating(parts, n_shards, 1)
    if K > 1:
        exchange = len(AVERAGED) * exchanging(parts, machines, network) / K if network else 0.0
        seconds = (
            computing(parts, n_shards, range(n_shards), cores) + updating(parts, n_shards, cores) + exchange
        )
        return Prediction(seconds, exchange, single / (cores * seconds))
    useful = sum(bool(of_rank(n_shards, rank, machines)) for rank in range(machines))
    exchange = exchanging(parts, useful, network) if network and useful > 1 else 0.0
    own = of_rank(n_shards, 0, machines)  # no other machine has more
    seconds = computing(parts, n_shards, own, cores) + exchange + updating(parts, n_shards, cores)
    return Prediction(seconds, exchange, single / (machines * cores * seconds))


# --- the measurement


class Measured(NamedTuple):
    """The parts of a step, and whole steps of the batch that they were measured with."""

    parts: Parts
    n_sequences: int
    steps: dict[int, float]  # seconds by the number of threads


def measure(options: dict[str, Any], sequences: int, rounds: int) -> Measured:
    """Measure a model in shards of this many sequences, with a batch of FEW of them."""
    trainer = made("crystal", options | {"batch_size": FEW * sequences})
    k, state = trainer.k, trainer.state
    assert state.sharing.n_slots == state.sharing.n_shards == FEW, "each shard has a slot"
    differentiate, _, _ = build_shared_training(k)

    def on(threads: int, work: Callable[[int], Any]) -> Callable[[int], Any]:
        def counted(n: int) -> None:
            k.set_threads(threads)
            work(n)

        return counted

    threads = [n for n in (1, 2) if n <= available_cores()]
    works = [on(1, lambda n: differentiate(n, state)), *(on(n, trainer.advance) for n in threads)]
    gradients, *steps = in_turns(works, rounds)
    k.set_threads(1)
    add, copy, norm, adam = passes(trainer)
    shard = gradients / FEW - copy
    parts = Parts(len(state.adam.param), shard, add, copy, norm, adam, wait_of_two(trainer, rounds))
    return Measured(parts, FEW * sequences, dict(zip(threads, steps, strict=True)))


def in_turns(works: list[Callable[[int], Any]], rounds: int) -> list[float]:
    """The median seconds of one of n repetitions, of each kind of work; one turn of each after the other."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:
        work(1)  # the first one touches memory that nothing has touched
    counts = [max(1, min(1000, int(TURN_SECONDS / clocked(work, 1)))) for work in works]
    for _ in range(rounds):
        for work, n, found in zip(works, counts, times, strict=True):
            found.append(clocked(work, n) / n)
    return [statistics.median(found) for found in times]


def clocked(work: Callable[[int], Any], n: int) -> float:
    begin = time.perf_counter()
    work(n)
    return time.perf_counter() - begin


def passes(trainer: Trainer) -> tuple[float, ...]:
    """The seconds of the passes over gradients: adding two, the sum of one group, the norm, Adam's step."""
    k, adam = trainer.k, trainer.state.adam
    kernels = {kernel.name: kernel for kernel in KERNELS}
    calls = {
        "shard_add": (adam.shards, adam.bounds, 0, 1),
        # a quarter of the sum of four groups
        "shard_sum": (adam.grad, adam.shards, adam.bounds, 1, 0),
        "gradient_norm": (adam.norm, adam.grad),
        "adam_step": (
            adam.param, adam.m, adam.v, adam.grad, adam.norm, adam.lr, adam.decay, adam.clock,
            adam.beta1, adam.beta2, adam.eps, adam.clip,
        ),
    }  # fmt: skip
    return tuple(
        roofline.seconds(roofline.repeated(k, name), Call(kernels[name], arguments))
        for name, arguments in calls.items()
    )


def wait_of_two(trainer: Trainer, rounds: int) -> float:
    """The seconds that two threads need to begin a piece of work of no length together, and to end it."""
    if available_cores() < 2:
        return 0.0
    k = trainer.k
    stopped = np.array([0, 1])  # a clock that has stopped: the kernel reads it and ends

    def nothing(state: Any) -> None:
        for _ in k.shards(2):
            k.clock_advance(state[0])

    k.set_threads(2)
    (seconds,) = in_turns([repeated(k, nothing, (stopped,))], rounds)
    return seconds


# --- the tables


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def us(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f}" if seconds >= 1e-5 else f"{1e6 * seconds:.2f}"


def rate(seconds: float) -> str:
    return f"{1 / seconds:,.{0 if seconds < 0.02 else 2}f}"


def shards_of(options: dict[str, Any], batch_size: int) -> tuple[int, int]:
    """The number of shards of a batch, and the sequences of the largest one."""
    n = number_of_shards(batch_size, options["seq_len"], MOST_SHARDS)
    return n, -(-batch_size // n)


def part_rows(found: dict[tuple[str, int], Measured]) -> Iterable[list[str]]:
    for (name, sequences), m in found.items():
        p = m.parts
        yield [name, f"{sequences}", f"{p.n_parameters:,}", *(us(seconds) for seconds in p[1:])]


def check_rows(found: dict[tuple[str, int], Measured]) -> Iterable[list[str]]:
    for (name, _), m in found.items():
        for threads, seconds in m.steps.items():
            expected = predict(m.parts, FEW, threads).seconds
            difference = f"{expected / seconds - 1:+.0%}"
            yield [name, f"{m.n_sequences}", f"{threads}", us(expected), us(seconds), difference]


def main(
    sizes: Annotated[str | None, typer.Option(help="Which models.", show_default="all")] = None,
    machines: Annotated[int, typer.Option(min=2, help="Machines of the last table.")] = 16,
    cores: Annotated[int, typer.Option(min=1, help="Cores of each of them.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each measurement.")] = 5,
) -> None:
    """A model of training on more cores and machines, from parts of a step that are measured here."""
    try:
        names = chosen(sizes, MODELS, "--sizes")
        batches = [(name, batch_size) for name in names for batch_size in MODELS[name][1]]
        found: dict[tuple[str, int], Measured] = {}
        for name, batch_size in batches:
            options = MODELS[name][0]
            _, sequences = shards_of(options, batch_size)
            if (name, sequences) not in found:
                print(f"measuring {name} in shards of {sequences} sequences ...", file=sys.stderr)
                found[name, sequences] = measure(options, sequences, rounds)
    except MicrogptError as error:
        print(f"scaling: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None

    def predicted(name: str, batch_size: int, *cluster: Any, **more: Any) -> Prediction:
        n_shards, sequences = shards_of(MODELS[name][0], batch_size)
        return predict(found[name, sequences].parts, n_shards, *cluster, **more)

    print("The parts of a step on one thread, in microseconds:\n")
    header = ("model", "sequences of a shard", "parameters", "shard", "add", "copy", "norm", "Adam", "wait")
    print(markdown(header, part_rows(found)))
    print("\nWhole steps, in microseconds:\n")
    print(markdown(("model", "batch", "threads", "model says", "measured", "difference"), check_rows(found)))
    print("\nOne machine, by the model:\n")
    rows = (
        [
            name, f"{batch_size}", f"{shards_of(MODELS[name][0], batch_size)[0]}",
            rate(predicted(name, batch_size, 1).seconds),
            *(f"{predicted(name, batch_size, n).efficiency:.0%}" for n in CORES),
            rate(predicted(name, batch_size, CORES[-1]).seconds),
        ]
        for name, batch_size in batches
    )  # fmt: skip
    on_cores = [f"{n} cores" for n in CORES]
    print(markdown(("model", "batch", "shards", "steps/s on 1", *on_cores, f"steps/s on {CORES[-1]}"), rows))
    print(f"\n{machines} machines of {cores} cores, by the model:\n")
    lines = []
    for name, batch_size in batches:
        for network in NETWORKS:
            shared, *local = (
                predicted(name, batch_size, cores, machines, network, K) for K in (1, *LOCAL_STEPS)
            )
            share = f"{shared.exchange / shared.seconds:.0%}"
            lines.append(
                [name, f"{batch_size}", network.name, rate(shared.seconds), share, f"{shared.efficiency:.0%}"]
                + [f"{p.efficiency:.0%}" for p in local]
            )
    each = [f"K {K}" for K in LOCAL_STEPS]
    print(markdown(("model", "batch", "network", "steps/s", "exchange", "efficiency", *each), lines))


if __name__ == "__main__":
    typer.run(main)
