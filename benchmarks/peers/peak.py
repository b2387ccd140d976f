"""The machine's peak rate, measured with large matrix products by SciPy's OpenBLAS."""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import sgemm
from threadpoolctl import threadpool_limits

from microgpt.arrays import Array

from .problem import Problem
from .systems import PEAK_SIZE, Program


def program(problem: Problem, threads: int, variant: str) -> Program:
    threadpool_limits(limits=threads, user_api="blas")
    a, b = np.random.default_rng(0).standard_normal((2, PEAK_SIZE, PEAK_SIZE), np.float32)
    out = np.empty((PEAK_SIZE, PEAK_SIZE), np.float32, order="F")

    def advance(n: int) -> Array:
        for _ in range(n):
            sgemm(1.0, a.T, b.T, c=out, overwrite_c=True)
        return out[0, :1]

    return Program(advance)
