"""Training and generation on an NVIDIA GPU; `python -m benchmarks.gpu_steps` sets steps beside its limits."""

import gpu_steps
import pytest
from gpu import REAL, gpu_backend
from microgpt_kernels import load
from peers.problem import GPU_SIZES
from test_speed_generation import generate

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    gpu_backend(REAL, monkeypatch)


@pytest.mark.parametrize("size", GPU_SIZES)
@pytest.mark.parametrize("backend", ["cublas", "cublas-tf32"])
def test_gpu_step(benchmark, backend, size):
    trainer = gpu_steps.made(backend, GPU_SIZES[size])
    trainer.advance(1)
    benchmark.group = f"100 steps of {size} on a GPU"
    benchmark.pedantic(trainer.advance, args=(100,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["steps_per_s"] = 100 / benchmark.stats.stats.median


def test_gpu_generate(benchmark):
    generate(benchmark, load("cublas"), seq_len=128, length=1000)
