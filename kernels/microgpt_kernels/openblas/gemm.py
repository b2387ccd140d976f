"""The matrix product by SciPy's BLAS. Only this file knows that BLAS is column-major.

Compiled code calls the routine that `scipy.linalg.cython_blas` exports, by the name of a symbol. When it is
called from plain Python, `gemm` uses the same routine through `scipy.linalg.blas`.
"""

from __future__ import annotations

import scipy.linalg.blas
import scipy.linalg.cython_blas
from llvmlite import binding
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic, overload

from microgpt_kernels.crystal.jit import INNER
from microgpt_kernels.crystal.tile import pointer

ROUTINES = {types.float32: "sgemm", types.float64: "dgemm"}


def gemm(out, a, b, transpose_a, transpose_b, beta):
    """out = beta * out + op(a) @ op(b), where op transposes or does nothing. All rows are contiguous.

    out  (N, M)            written; accumulated with beta 1
    a    (N, K) or (K, N)  read
    b    (K, M) or (M, K)  read
    """
    routine = scipy.linalg.blas.sgemm if out.dtype == "float32" else scipy.linalg.blas.dgemm
    # BLAS sees a row-major array as its transpose, so it is asked for out.T = op(b).T @ op(a).T
    out.T[...] = routine(1.0, b.T, a.T, beta, out.T, trans_a=transpose_b, trans_b=transpose_a)


@intrinsic
def _by_address(typingctx, value):
    """The address of a copy on the stack, since Fortran takes every argument by its address."""

    def codegen(context, builder, signature, args):
        return cgutils.alloca_once_value(builder, args[0])

    return types.CPointer(value)(value), codegen


def _external(dtype):
    """SciPy's routine for this dtype, as a function that compiled code can call."""
    symbol = f"microgpt_blas_{ROUTINES[dtype]}"
    binding.add_symbol(symbol, get_cython_function_address("scipy.linalg.cython_blas", ROUTINES[dtype]))
    flag, n, real = (types.CPointer(t) for t in (types.uint8, types.int32, dtype))
    return types.ExternalFunction(
        symbol, types.void(flag, flag, n, n, n, real, real, n, real, n, real, real, n)
    )


_EXTERNAL = {dtype: _external(dtype) for dtype in ROUTINES}


@overload(gemm, jit_options=INNER)
def _gemm(out, a, b, transpose_a, transpose_b, beta):
    routine = _EXTERNAL[out.dtype]
    i32, u8, real = types.int32, types.uint8, out.dtype

    def gemm(out, a, b, transpose_a, transpose_b, beta):
        size = out.itemsize
        K = a.shape[0] if transpose_a else a.shape[1]
        routine(
            _by_address(u8(ord("T") if transpose_b else ord("N"))),
            _by_address(u8(ord("T") if transpose_a else ord("N"))),
            _by_address(i32(out.shape[1])), _by_address(i32(out.shape[0])), _by_address(i32(K)),
            _by_address(real(1.0)),
            pointer(b), _by_address(i32(b.strides[0] // size)),
            pointer(a), _by_address(i32(a.strides[0] // size)),
            _by_address(real(beta)),
            pointer(out), _by_address(i32(out.strides[0] // size)),
        )  # fmt: skip

    return gemm
