"""Generating: within the window, and far past it."""

import numpy as np
import pytest
from microgpt_kernels import load
from support import CPU_BACKENDS

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.model.parameters import initial, table
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.use.generate import Generator, Sampling

V = 65


@pytest.mark.parametrize(("seq_len", "length"), [(128, 100), (32, 10_000), (128, 10_000)])
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_generate(benchmark, backend, seq_len, length):
    generate(benchmark, load(backend), seq_len, length)


def generate(benchmark, k, seq_len, length):
    k.set_threads(1)
    architecture = TrainConfig(file="none", **RECIPES["plain"] | {"seq_len": seq_len}).architecture(V)
    tensors = table(architecture.sizes)
    placed = place(k, architecture, Budget(None))
    k.from_host(placed.param, initial(tensors, 0, architecture.dtype))
    generator = Generator(placed)
    prompt = np.zeros(1, np.int32)

    def write():
        return sum(len(piece) for piece in generator.stream(prompt, length, Sampling()))

    assert write() == length
    benchmark.group = f"{length} characters at T {seq_len}"
    benchmark.pedantic(write, rounds=5, warmup_rounds=1)
    benchmark.extra_info["characters_per_s"] = length / benchmark.stats.stats.median
