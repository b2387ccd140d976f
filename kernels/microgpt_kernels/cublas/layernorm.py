"""Layer normalisation (Ba et al. 2016, equation 4)."""

from math import sqrt

import numpy as np
from numba import cuda

from microgpt_kernels.contract import LAYERNORM_EPS
from microgpt_kernels.cublas.block import THREADS, WARP, WARPS, blocks, lane, warp_row, warp_sum
from microgpt_kernels.cublas.jit import kernel
from microgpt_kernels.cublas.sums import (
    LOADS,
    SUM_THREADS,
    THREAD_ROWS,
    add_up,
    in_parts,
    share_of_rows,
    sum_of_columns,
)


def layernorm_forward(out, mean, rstd, inp, weight, bias):
    """out = weight * (inp - mean) * rstd + bias, with rstd = 1 / sqrt(variance + eps), row by row.

    out           (N, C)  written
    mean, rstd    (N,)    written
    inp           (N, C)  read
    weight, bias  (C,)    read
    """
    eps = inp.dtype.type(LAYERNORM_EPS)
    _layernorm_forward_kernel.launch(
        blocks(len(inp), WARPS), THREADS, out, mean, rstd, inp, weight, bias, eps
    )


@kernel
def _layernorm_forward_kernel(out, mean, rstd, inp, weight, bias, eps):
    """Each warp normalises one row."""
    N, C = inp.shape
    real = inp.dtype.type
    n = warp_row()
    if n >= N:
        return
    total = real(0.0)
    for c in range(lane(), C, WARP):
        total += inp[n, c]
    average = warp_sum(total) / real(C)
    # the squares of the differences: in a difference of squares, digits would cancel
    total = real(0.0)
    for c in range(lane(), C, WARP):
        total += (inp[n, c] - average) * (inp[n, c] - average)
    scale = real(1.0) / sqrt(warp_sum(total) / real(C) + eps)
    for c in range(lane(), C, WARP):
        out[n, c] = weight[c] * ((inp[n, c] - average) * scale) + bias[c]
    if lane() == 0:
        mean[n] = average
        rstd[n] = scale


def layernorm_backward(dinp, dweight, dbias, dout, inp, weight, mean, rstd):
    """Gradient of `layernorm_forward`. With xhat = (inp - mean) * rstd and g = dout * weight:

        dinp    = rstd * (g - avg_C(g) - xhat * avg_C(g * xhat))
        dweight = sum_N(dout * xhat)
        dbias   = sum_N(dout)

    dinp            (N, C)  written; may share memory with dout
    dweight, dbias  (C,)    written
    dout, inp       (N, C)  read
    weight          (C,)    read
    mean, rstd      (N,)    read; as saved by the forward pass
    """
    N, C = inp.shape
    dweights, dbiases = in_parts(N, dweight, dbias)
    # the sums are computed first, because dinp may overwrite dout
    n_blocks = blocks(C, WARP) * len(dweights)
    _layernorm_sums_kernel.launch(n_blocks, SUM_THREADS, dweights, dbiases, dout, inp, mean, rstd)
    add_up(dweight, dweights)
    add_up(dbias, dbiases)
    _layernorm_backward_kernel.launch(blocks(N, WARPS), THREADS, dinp, dout, inp, weight, mean, rstd)


@kernel
def _layernorm_sums_kernel(dweight, dbias, dout, inp, mean, rstd):
    """Each block adds up 32 columns of one part of the rows."""
    shared = cuda.shared.array((THREAD_ROWS, WARP), dweight.dtype)
    N, C = inp.shape
    c, part, begin, end = share_of_rows(N, len(dweight))
    zero = inp.dtype.type(0.0)
    n, weight_sum, bias_sum = begin + cuda.threadIdx.x // WARP, zero, zero
    if c < C:
        while n < end:
            for _ in range(LOADS):
                row, column = np.uint64(n), np.uint64(c)
                g = dout[row, column] if n < end else zero
                difference = inp[row, column] - mean[row] if n < end else zero
                weight_sum += g * (difference * rstd[row] if n < end else zero)
                bias_sum += g
                n += THREAD_ROWS
    weight_sum = sum_of_columns(weight_sum, shared)
    bias_sum = sum_of_columns(bias_sum, shared)
    if cuda.threadIdx.x < WARP and c < C:
        dweight[part, c] = weight_sum
        dbias[part, c] = bias_sum


@kernel
def _layernorm_backward_kernel(dinp, dout, inp, weight, mean, rstd):
    """Each warp computes one row."""
    N, C = inp.shape
    real = inp.dtype.type
    n = warp_row()
    if n >= N:
        return
    g_sum, gx_sum = real(0.0), real(0.0)
    for c in range(lane(), C, WARP):
        g = dout[n, c] * weight[c]
        g_sum += g
        gx_sum += g * ((inp[n, c] - mean[n]) * rstd[n])
    g_average, gx_average = warp_sum(g_sum) / real(C), warp_sum(gx_sum) / real(C)
    for c in range(lane(), C, WARP):
        xhat = (inp[n, c] - mean[n]) * rstd[n]
        dinp[n, c] = rstd[n] * (dout[n, c] * weight[c] - g_average - xhat * gx_average)
