"""Every kernel of the contract on every CPU backend, at the headline sizes.

A kernel runs REPEATS times inside compiled code for each call from Python, so that a figure is the kernel's
own: divide the time by REPEATS. Beside each stand its rates and, where it makes matrix products, the share of
what OpenBLAS reaches on large matrices; `microgpt bench --roofline` says the same of a whole step.
"""

from collections import namedtuple

import numpy as np
import pytest
from microgpt_kernels import load
from microgpt_kernels.contract import KERNELS
from support import CPU_BACKENDS, Case, arguments

from microgpt.roofline import Call, Machine, work

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
    values = arguments(kernel, HEADLINE, "float32")
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
