"""The cuBLAS library, called through ctypes.

Calls through compiled bindings would be faster, but that hardly matters: a graph repeats its products without
such calls.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from typing import Any

import numpy as np

from microgpt_kernels.errors import BackendError

NO_TRANSPOSE, TRANSPOSE = 0, 1
DEFAULT_MATH, TF32_MATH = 0, 3
# the size that cuBLAS recommends for Hopper; other GPUs need less
WORKSPACE_BYTES = 32 << 20


def load() -> Cublas:
    """Opens the library, which was found before the backend was imported. Raises BackendError if it fails."""
    from cuda import pathfinder

    return Cublas(ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path))


class Cublas:
    """A handle of the library. Streams and addresses on the GPU are given as integers."""

    def __init__(self, library: ctypes.CDLL) -> None:
        # sizes have 64 bits: in 32 bits those from 2^31 on would be cut off
        gemm = [
            c_void_p, c_int, c_int, c_int64, c_int64, c_int64,
            c_void_p, c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_void_p, c_int64,
        ]  # fmt: skip
        arguments = {
            "cublasCreate_v2": [POINTER(c_void_p)],
            "cublasGetVersion_v2": [c_void_p, POINTER(c_int)],
            "cublasSetStream_v2": [c_void_p, c_void_p],
            "cublasSetWorkspace_v2": [c_void_p, c_void_p, c_size_t],
            "cublasSetMathMode": [c_void_p, c_int],
            "cublasSgemm_v2_64": gemm,
            "cublasDgemm_v2_64": gemm,
        }
        for name, types in arguments.items():
            getattr(library, name).argtypes = types
        library.cublasGetStatusString.argtypes = [c_int]
        library.cublasGetStatusString.restype = c_char_p
        self._library, self._handle = library, c_void_p()
        self._call("cublasCreate_v2", self._handle)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            words = self._library.cublasGetStatusString(status).decode()
            raise BackendError(f"cuBLAS fails in {name} with status {status}: {words}")

    def version(self) -> int:
        """130100 for 13.1"""
        found = c_int()
        self._call("cublasGetVersion_v2", self._handle, found)
        return found.value

    def set_stream(self, stream: int) -> None:
        """From now on, all products are computed on this stream."""
        self._call("cublasSetStream_v2", self._handle, stream)

    def set_workspace(self, workspace: int, n_bytes: int) -> None:
        """Memory for products to use. It has to be set again after `set_stream`."""
        self._call("cublasSetWorkspace_v2", self._handle, workspace, n_bytes)

    def set_math_mode(self, mode: int) -> None:
        """DEFAULT_MATH or TF32_MATH"""
        self._call("cublasSetMathMode", self._handle, mode)

    def gemm(
        self, dtype: Any, transpose_a: int, transpose_b: int, m: int, n: int, k: int,
        a: int, lda: int, b: int, ldb: int, accumulate: bool, c: int, ldc: int,
    ) -> None:  # fmt: skip
        """c = op(a) @ op(b), or with `accumulate` c += op(a) @ op(b).

        Sizes are named as BLAS names them: matrices are column-major, c is (m, n), and k is the length of the
        sums.
        """
        name = "cublasSgemm_v2_64" if dtype == "float32" else "cublasDgemm_v2_64"
        one, zero = _FACTORS[dtype]
        self._call(
            name, self._handle, transpose_a, transpose_b, m, n, k,
            one, a, lda, b, ldb, one if accumulate else zero, c, ldc,
        )  # fmt: skip


def _factors(real: Any) -> tuple[Any, Any]:
    # cuBLAS takes alpha and beta by their addresses
    return ctypes.byref(real(1.0)), ctypes.byref(real(0.0))


_FACTORS = {
    np.dtype("float32"): _factors(ctypes.c_float),
    np.dtype("float64"): _factors(ctypes.c_double),
}
