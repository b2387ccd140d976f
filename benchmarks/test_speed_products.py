"""Matrix products by the tiles and by BLAS, from compiled code: those of a head and those of a layer."""

from collections import namedtuple

import numpy as np
import pytest
from microgpt_kernels import crystal, openblas
from microgpt_kernels.crystal.gemm import gemm as tiles
from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.openblas.gemm import gemm as blas

REPEATS = 1000
# rows, columns and depth: scores and outputs of a head of width 16 and of width 1 at T 32, linear maps, and
# what BLAS can do at its best
SIZES = [
    (32, 32, 16), (32, 16, 32), (32, 32, 1), (32, 1, 32), (32, 64, 64), (32, 192, 64),
    (768, 512, 128), (2048, 2048, 2048),
]  # fmt: skip

State = namedtuple("State", ["out", "a", "b"])


@kernel
def by_tiles(out, a, b):
    tiles(out, a, b, 0.0)


@kernel
def by_blas(out, a, b):
    blas(out, a, b, False, False, 0.0)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("product", [by_tiles, by_blas], ids=["by_tiles", "by_blas"])
def test_product(benchmark, product, size):
    N, M, K = size
    openblas.set_threads(1)
    random = np.random.default_rng(0)
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((N, K), (K, M)))
    state = State(np.zeros((N, M), np.float32), a, b)
    repeated = crystal.compile(lambda state: product(*state))
    repeated(1, state)
    assert np.allclose(state.out, a @ b, rtol=1e-3, atol=1e-3)
    repeats = max(1, REPEATS * 32 * 64 * 64 // (N * M * K)) if N * M * K > 32 * 64 * 64 else REPEATS
    benchmark.group = f"{N}x{M}x{K}"
    benchmark.pedantic(repeated, args=(repeats, state), rounds=7, warmup_rounds=1)
    seconds = benchmark.stats.stats.median / repeats
    benchmark.extra_info["microseconds"] = 1e6 * seconds
    benchmark.extra_info["GFLOP/s"] = 2 * N * M * K / seconds / 1e9
