"""Every kernel of the contract on every CPU backend, at the headline sizes.

A kernel runs REPEATS times inside compiled code for each call from Python, so that a figure is the kernel's
own: divide the time by REPEATS. Each has its rates and, if it computes matrix products, the fraction of
the rate that OpenBLAS reaches on large matrices; `microgpt bench --roofline` says the same of a whole step.
"""

from collections import namedtuple

import numpy as np
import pytest
from microgpt_kernels import load
from microgpt_kernels.contract import KERNELS
from support import BY_NAME, CPU_BACKENDS, Case, arguments

from microgpt.measure.roofline import Call, Machine, work

REPEATS = 100
# batch 1, T 32, d_model 64, d_ff 64, V 65, 60,993 parameters; the linear map is the one to q, k and v
HEADLINE = Case(B=1, T=32, widths=(16,) * 4, V=65, F=64, M=192, P=60_993, S=1, J=18, R=1024, X=100_000)


@pytest.fixture(scope="module")
def peak():
    """FLOP/s of one thread on large float32 matrices."""
    return Machine("float32").flop_per_s


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_kernel(benchmark, peak, backend, kernel):
    k = load(backend)
    function = getattr(k, kernel.name)
    values = arguments(kernel, HEADLINE, "float32", k=k)
    if kernel.name == "sample":
        # every repetition draws one more character, into a window with room for it
        values["clock"] = np.array([1, 0, 0])
    State = namedtuple("State", list(values))

    def step(state):
        function(*state)

    repeated = k.compile(step)
    state = State(**values)
    repeated(0, state)
    benchmark.group = kernel.name

    def start():
        if kernel.name == "sample":
            values["clock"][:] = 1, 0, 0
        return (REPEATS, state), {}

    benchmark.pedantic(repeated, setup=start, rounds=50, warmup_rounds=2)
    seconds = benchmark.stats.stats.median / REPEATS
    todo = work(Call(kernel, tuple(values[argument.name] for argument in kernel.arguments)))
    benchmark.extra_info |= {"microseconds": 1e6 * seconds, "GB/s": todo.moved / seconds / 1e9}
    if todo.flop:
        benchmark.extra_info |= {
            "GFLOP/s": todo.flop / seconds / 1e9,
            "share of peak": todo.flop / seconds / peak,
        }


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("moment", ["m", "v"])
def test_adam_with_denormal_moments(benchmark, moment, share):
    """The time for denormal numbers, which training avoids: crystal sets such moments to 0 before.

    They are in rows of 64, as the moments of rare characters would be.
    """
    k, rng = load("crystal"), np.random.default_rng(0)
    values = arguments(BY_NAME["adam_step"], HEADLINE, "float32") | {"decay": np.zeros(0, np.float32)}
    values["grad"][...] = 0.0
    denormal = np.repeat(rng.random(-(-HEADLINE.P // 64)) < share, 64)[: HEADLINE.P]
    State = namedtuple("State", list(values))

    def step(state):
        k.adam_step(*state)

    repeated, state = k.compile(step), State(**values)
    repeated(0, state)

    def start():
        values["m"][...], values["v"][...] = 1e-5, 1e-8
        # as small as it gets without a gradient
        values[moment][denormal] = 4 * np.finfo(np.float32).smallest_subnormal
        return (REPEATS, state), {}

    benchmark.pedantic(repeated, setup=start, rounds=50, warmup_rounds=2)
    benchmark.extra_info["microseconds"] = 1e6 * benchmark.stats.stats.median / REPEATS
