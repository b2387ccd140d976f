"""One training step, kernel by kernel: time, work, rate, and how near each kernel is to the machine's limit.

The limit of a kernel is the longer of two times, both measured on one thread beside it: what its matrix
products take at the rate that OpenBLAS reaches on large matrices, and what a copy of as many bytes takes.
A kernel can be faster than its limit: small products stay in the caches, and a kernel that only reads does
less than a copy. Neither time counts exponentials, roots or sums, so a kernel full of them stays far below
its limit. A kernel is repeated on the same arrays, which stay in the caches; in a step other kernels
displace them, so the whole step is timed as well.
"""

from __future__ import annotations

import functools
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from microgpt_kernels import reference
from microgpt_kernels.contract import KERNELS, PASSES, VERBS, Argument, Kernel, shape_of

from microgpt.arrays import Array, IdArray
from microgpt.config import TrainConfig
from microgpt.console import Display
from microgpt.errors import MicrogptError, UsageError
from microgpt.machine.backends import compiled, load_backend
from microgpt.machine.budget import Budget
from microgpt.measure.bench import read_ids, usable
from microgpt.model.architecture import Architecture
from microgpt.model.heads import format_layout
from microgpt.model.placed import place
from microgpt.model.transformer import Step
from microgpt.recipes import RECIPES
from microgpt.training.trainer import LOG_SLOTS, Trainer

RUNS, REPETITIONS = 3, 9  # of a whole step, and of a kernel; the median counts
# A repetition calls a kernel again and again for this time. The number of calls has a limit, because some
# kernels shrink their arrays with each call, as Adam does its moments, until they are denormal and slow; a
# kernel that works in place shrinks them by orders of magnitude.
REPETITION_SECONDS = 1e-3
MAX_CALLS, MAX_CALLS_IN_PLACE = 256, 4
RESOLUTION = 1e-9  # no measured difference counts as less
PEAK_SIZE = 2048  # rows and columns of the matrices on which OpenBLAS shows its rate
SMALLEST_COPY = 4096  # bytes; less is a part of it


class Call(NamedTuple):
    """A kernel and what it was called with."""

    kernel: Kernel
    arguments: tuple[Any, ...]

    def arrays(self) -> list[tuple[Argument, Array]]:
        """The arguments that are arrays, each with its line of the contract."""
        pairs = zip(self.kernel.arguments, self.arguments, strict=True)
        return [(argument, value) for argument, value in pairs if argument.mode != "scalar"]


@dataclass(frozen=True)
class Timing:
    """All calls of a step that have the same kernel and the same sizes; or all kernels; or the whole step."""

    backend: str
    kernel: str
    shape: str  # N, K, M of linear maps; B, H, N, C of attention; else of the largest array
    calls: int  # in a step
    us_per_call: float
    us_per_step: float
    flop: int  # of a call, in matrix products
    bytes: int  # that a call must move
    bound: str  # products or memory: which takes longer at its best; both for the sums
    limit_us: float  # of a call
    share_of_limit: float


def record(k: ModuleType, architecture: Architecture, config: TrainConfig, ids: IdArray) -> list[Call]:
    """The kernel calls of one training step, in order, with its own arrays as the step leaves them.

    It is the same step that trains. A stand-in for the backend runs it as plain Python and notes each call.
    """
    calls = []

    def recording(kernel: Kernel) -> Callable[..., None]:
        function = getattr(k, kernel.name)

        def called(*arguments: Any) -> None:
            calls.append(Call(kernel, arguments))
            function(*arguments)

        return called

    stand_in = ModuleType(k.__name__)
    for verb in VERBS:
        plain = verb in ("compile", "shards")
        setattr(stand_in, verb, getattr(reference if plain else k, verb))
    for kernel in KERNELS:
        setattr(stand_in, kernel.name, recording(kernel))
    Trainer(place(stand_in, architecture, Budget(config.memory_cap_bytes)), config, ids).advance(1)
    return calls


def grouped(calls: list[Call]) -> list[tuple[Call, int]]:
    """The first call of each kernel and shape, and how many there are."""
    groups: dict[Any, list[Call]] = {}
    for call in calls:
        groups.setdefault((call.kernel.name, *map(np.shape, call.arguments)), []).append(call)
    return [(group[0], len(group)) for group in groups.values()]


class Work(NamedTuple):
    """The least work that a call has to do."""

    shape: str
    flop: int  # in matrix products
    moved: int  # bytes, read or written
    held: int  # bytes of memory that they lie in


def work(call: Call) -> Work:
    """What a call has to do, by the contract and the shapes of its arrays."""
    products, arrays = call.kernel.products, call.arrays()
    passes = [PASSES[argument.mode] for argument, _ in arrays]
    held = [array.nbytes * argument.needed for argument, array in arrays]
    moved = [n * n_bytes for n, n_bytes in zip(passes, held, strict=True)]
    flop, shape = 0, arrays[int(np.argmax(moved))][1].shape
    if products is not None:
        sizes: dict[str, int] = {}
        for argument, array in arrays:
            sizes |= zip(argument.shape.split(), array.shape, strict=True)
        if "B" in sizes:
            sizes["T"] = sizes["N"] // sizes["B"]
        shape = shape_of(products.sizes, sizes)
        (multiplications,) = shape_of(products.multiplications, sizes)
        flop = 2 * multiplications
    touched = sum(n_bytes for n, n_bytes in zip(passes, held, strict=True) if n)
    return Work("x".join(map(str, shape)), flop, round(sum(moved)), round(touched))


@functools.cache
def repeated(k: ModuleType, name: str) -> Step:
    """steps(n, arguments): n calls of a kernel, without Python between them."""
    kernel = getattr(k, name)

    def step(state: Any) -> None:
        kernel(*state)

    steps: Step = k.compile(step)
    return steps


def clocked(steps: Step, n: int, arguments: tuple[Any, ...]) -> float:
    """The time of n calls, and of entering and leaving compiled code once."""
    steps(0, arguments)
    begin = time.perf_counter()
    steps(n, arguments)
    return time.perf_counter() - begin


def seconds(steps: Step, call: Call) -> float:
    """The time of a call within compiled code. It leaves its arrays as they were before."""
    arrays = [array for _, array in call.arrays()]
    saved = [(array, array.copy()) for argument, array in call.arrays() if argument.mode != "read"]
    in_place = any(np.may_share_memory(*pair) for pair in itertools.combinations(arrays, 2))

    def measured(n: int) -> float:
        for array, values in saved:
            array[...] = values
        return clocked(steps, n, call.arguments)

    measured(1)
    n = max(1, min(MAX_CALLS_IN_PLACE if in_place else MAX_CALLS, int(REPETITION_SECONDS / measured(1))))
    # without what it takes to enter and leave compiled code
    differences = [measured(n) - measured(0) for _ in range(REPETITIONS)]
    return max(statistics.median(differences), RESOLUTION) / n


def _copy(out: Array, inp: Array) -> None:
    for i in range(len(out)):
        out[i] = inp[i]


class Machine:
    """The best rates that one thread reaches."""

    COPY = Kernel("copy", (Argument("out", "written", "N"), Argument("inp", "read", "N")))

    def __init__(self, dtype: str) -> None:
        from microgpt_kernels.crystal.jit import kernel  # Numba is loaded only where it is used

        blas, crystal = load_backend("openblas"), load_backend("crystal")
        blas.set_threads(1)
        product = repeated(blas, "linear_forward")
        arguments = (*(np.ones((PEAK_SIZE, PEAK_SIZE), dtype) for _ in range(3)), np.ones(PEAK_SIZE, dtype))
        clocked(product, 0, arguments)
        self.flop_per_s = 2 * PEAK_SIZE**3 / min(clocked(product, 1, arguments) for _ in range(RUNS))
        copy = kernel(_copy)
        self._copies, self._zeros = crystal.compile(lambda state: copy(*state)), crystal.zeros

    def seconds_to_move(self, w: Work) -> float:
        """The time of copies of as much memory that move as many bytes."""
        n = max(w.held, SMALLEST_COPY)
        out, inp = (self._zeros((n // 8,), np.float32) for _ in range(2))
        inp[...] = 1  # pages that were never written to all stand for one page of zeros
        return seconds(self._copies, Call(self.COPY, (out, inp))) * w.moved / n


def measure(
    steps: int, file: Path | None, backend: str | None, heads: str, display: Display, **options: Any
) -> Iterator[tuple[str, list[Timing], float]]:
    """For each backend a title, its rows, and the best rate of products in FLOP/s.

    `options` are those of `train`.
    """
    if options["threads"] not in (None, 1):
        raise UsageError("--roofline measures kernels on one thread: leave --threads away")
    try:
        given = {"file": str(file or "tales"), "steps": steps, "heads": heads, **options}
        config = TrainConfig(**RECIPES["plain"] | given)
    except MicrogptError as error:
        raise UsageError(str(error)) from None
    ids, n_characters = read_ids(file)
    architecture, machine = config.architecture(n_characters), None
    sizes = {"B": config.batch_size, **architecture.sizes}
    for name in usable(backend):
        k = load_backend(name, display)
        one_id = ids[:1]  # which a GPU would copy
        if k.to_device(one_id) is not one_id:
            if backend is None:
                continue  # it was not asked for
            raise UsageError(f"--roofline measures what runs on the CPU, and {name} does not")
        k.set_threads(1)
        trainer = Trainer(place(k, architecture, Budget(config.memory_cap_bytes)), config, ids)
        groups = compiled(display, functools.partial(_compile_each, trainer, config, ids))
        display.working(f"measuring {name}", "each kernel, then the whole step")
        machine = machine or Machine(config.dtype)
        rows = [_row(name, k, call, n, machine) for call, n in groups]
        rows.sort(key=lambda row: -row.us_per_step)
        kernels = _sum(name, "all kernels", sum(row.us_per_step for row in rows), rows)
        step = _sum(name, "whole step", 1e6 * _step_seconds(trainer, steps), rows)
        display.idle()
        what = " ".join(f"{letter}{sizes[letter]}" for letter in "BTCLFV")
        title = f"{name} on one thread, {config.dtype}, {what}, heads {format_layout(architecture.heads)}"
        yield title, [*rows, kernels, step], machine.flop_per_s


def _compile_each(trainer: Trainer, config: TrainConfig, ids: IdArray) -> list[tuple[Call, int]]:
    """The step, and each of its kernels by itself; returns the kernels' calls."""
    trainer.compile()
    groups = grouped(record(trainer.k, trainer.placed.architecture, config, ids))
    for call, _ in groups:
        clocked(repeated(trainer.k, call.kernel.name), 0, call.arguments)
    return groups


def _row(backend: str, k: ModuleType, call: Call, n: int, machine: Machine) -> Timing:
    w = work(call)
    us = 1e6 * seconds(repeated(k, call.kernel.name), call)
    products_us, moves_us = 1e6 * w.flop / machine.flop_per_s, 1e6 * machine.seconds_to_move(w)
    bound, limit_us = ("products", products_us) if products_us > moves_us else ("memory", moves_us)
    return Timing(
        backend, call.kernel.name, w.shape, n, us, n * us, w.flop, w.moved, bound, limit_us, limit_us / us
    )  # fmt: skip


def _sum(backend: str, name: str, us: float, rows: list[Timing]) -> Timing:
    """All the work of the rows, done in `us` microseconds."""
    flop, n_bytes = (sum(getattr(row, amount) * row.calls for row in rows) for amount in ("flop", "bytes"))
    limit_us = sum(row.limit_us * row.calls for row in rows)
    return Timing(backend, name, "", 1, us, us, flop, n_bytes, "both", limit_us, limit_us / us)


def _step_seconds(trainer: Trainer, steps: int) -> float:
    """The time of a step that is compiled as one unit."""
    n = min(steps, LOG_SLOTS)

    def run() -> float:
        begin = time.perf_counter()
        trainer.advance(n)
        return (time.perf_counter() - begin) / n

    return statistics.median(run() for _ in range(RUNS))


def show(
    steps: int, file: Path | None, backend: str | None, heads: str | None, *, as_json: bool, **options: Any
) -> None:
    """Print what was measured, a table for each backend."""
    tables = measure(steps, file, backend, heads or TrainConfig.heads, Display(), **options)
    for title, rows, flop_per_s in tables:
        if as_json:
            lines = [json.dumps(asdict(row)) for row in rows]
        else:
            lines = [title, *table(rows, flop_per_s / 1e9), ""]
        print("\n".join(lines), flush=True)


def table(rows: list[Timing], peak: float) -> Iterator[str]:
    """The lines for a terminal of 100 columns.

    peak  the best rate of products, in GFLOP/s
    """
    yield (
        f"{'kernel':<22} {'shape':<12} {'calls':>5} {'us/call':>7} {'us/step':>7} {'of step':>7} "
        f"{'work':>11} {'rate':>13} {'of limit':>8}"
    )
    *_, kernels, step = rows
    for r in rows:
        memory = r.bound == "memory"
        amount, unit = (r.bytes, "B") if memory else (r.flop, "FLOP")
        work = f"{_digits(amount / 1e3)} K{unit}" if memory else f"{_digits(amount / 1e6)} M{unit}"
        rate = f"{_digits(amount / r.us_per_call / 1e3)} G{unit}/s"
        yield (
            f"{r.kernel:<22} {r.shape:<12} {r.calls:>5} {_digits(r.us_per_call):>7} "
            f"{_digits(r.us_per_step):>7} {r.us_per_step / kernels.us_per_step:>7.1%} "
            f"{work:>11} {rate:>13} {r.share_of_limit:>8.0%}"
        )
    reached = step.flop / step.us_per_step / 1e3
    size = f"{PEAK_SIZE} x {PEAK_SIZE}"
    yield f"limit: products at {_digits(peak)} GFLOP/s (OpenBLAS, {size}) or a copy of the bytes"
    yield f"products in the whole step: {_digits(reached)} GFLOP/s, {reached / peak:.0%} of that rate"


def _digits(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"
