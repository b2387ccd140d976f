"""Training steps: the headline size with every head layout, and larger batches on one and two threads."""

import numpy as np
import pytest
from microgpt_kernels import load
from support import CPU_BACKENDS

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.training.trainer import Trainer

V = 65
HEADLINE = {"seq_len": 32, "d_model": 64, "n_layers": 2}
# nanoGPT's example for a CPU
NANOGPT = {"batch_size": 12, "seq_len": 64, "d_model": 128, "n_layers": 4, "d_ff": 512, "heads": "4x32"}


def trainer(backend, threads=1, **options):
    k = load(backend)
    k.set_threads(threads)
    config = TrainConfig(file="noise", backend=backend, **RECIPES["plain"] | options)
    ids = np.random.default_rng(0).integers(0, V, 100_000).astype(np.uint8)
    made = Trainer(place(k, config.architecture(V), Budget(None)), config, ids)
    made.compile()
    return made


def measure(benchmark, made, n, group):
    benchmark.group = group
    benchmark.pedantic(made.advance, args=(n,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["steps_per_s"] = n / benchmark.stats.stats.median


@pytest.mark.parametrize("heads", HEAD_LAYOUTS)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_headline_step(benchmark, backend, heads):
    measure(benchmark, trainer(backend, heads=heads, **HEADLINE), 500, "500 steps of batch 1, T 32")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_batch_step(benchmark, backend, threads):
    measure(benchmark, trainer(backend, threads, batch_size=32, **HEADLINE), 50, "50 steps of batch 32, T 32")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_nanogpt_step(benchmark, backend, threads):
    measure(benchmark, trainer(backend, threads, **NANOGPT), 10, "10 steps of nanoGPT's CPU example")
