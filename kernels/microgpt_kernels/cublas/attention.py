"""Causal attention for heads of any width (Vaswani et al. 2017, equation 1), all heads in one launch.

A block computes one panel: PANEL queries of one head, in one sequence. So a wide head takes longer, and a
narrow one needs no separate launch. All products are computed in tiles (tile.py). Attention weights are kept
transposed, with keys as rows and queries as columns. A head's weights in `att` are its panels, one after the
other; a panel has a row for each key, and the keys beyond its last query are not computed.
"""

from math import exp, inf

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.array import flat
from microgpt_kernels.cublas.block import (
    THREADS,
    WARP,
    WARPS,
    block_max,
    block_sum,
    blocks,
    divided,
    lane,
    warp_sum,
)
from microgpt_kernels.cublas.jit import inlined, kernel
from microgpt_kernels.cublas.tile import (
    PANEL,
    PER_THREAD,
    ROW_LENGTH,
    TILE_THREADS,
    TILE_WARPS,
    add_product,
    clear,
    corner,
    load,
    load_transposed,
)


def attention_forward(out, att, scratch, qkv, offsets, scales):
    """For each sequence and head:

        att = softmax(scale * k @ q.T) over the keys up to the query's own position
        out = att.T @ v

    out      (N, C)         written; the heads side by side
    att      (B, H, T*T)    saved; the weights, in panels
    scratch  (2*T*C,)       scratch; not used
    qkv      (N, 3C)        read
    offsets  (H+1,)  int32  read; head h has columns offsets[h]:offsets[h+1] of q, of k and of v
    scales   (H,)           read; what the scores of each head are multiplied by

    If out has fewer rows than qkv, there is one sequence, the queries are its last rows, and nothing is
    saved. Heads of width 0 are skipped.
    """
    (B, H, _), C = att.shape, out.shape[1]
    n_queries, T = len(out) // B, len(qkv) // B
    if n_queries < T:
        _last_queries_kernel.launch(n_queries * H, THREADS, out, qkv, offsets, scales)
        return
    n_blocks = blocks(T, PANEL) * H * B
    out, att, qkv = map(flat, (out, att, qkv))
    _attention_forward_kernel.launch(n_blocks, TILE_THREADS, out, att, qkv, offsets, scales, T, C)


def attention_backward(dqkv, scratch, att, dout, out, qkv, offsets, scales):
    """Gradient of `attention_forward` for whole sequences. For each sequence and head:

        datt    = v @ dout.T
        dscores = scale * att * (datt - sum_D(dout * out).T)
        dq      = dscores.T @ k
        dk      = dscores @ q
        dv      = att @ dout

    dqkv     (N, 3C)         written
    scratch  (6*T*C+32*T,)   scratch; not used
    att      (B, H, T*T)     saved; dscores take the place of the weights
    dout     (N, C)          read
    out      (N, C)          read; as written by the forward pass
    qkv      (N, 3C)         read
    offsets  (H+1,)  int32   read
    scales   (H,)            read
    """
    (B, H, _), C = att.shape, out.shape[1]
    T = len(out) // B
    n_blocks = blocks(T, PANEL) * H * B
    dqkv, att, dout, out, qkv = map(flat, (dqkv, att, dout, out, qkv))
    _weigh_queries_kernel.launch(n_blocks, TILE_THREADS, dqkv, 2 * C, att, dout, C, offsets, T, C)
    _attention_backward_kernel.launch(
        n_blocks, TILE_THREADS, dqkv, att, dout, out, qkv, offsets, scales, T, C
    )
    _weigh_queries_kernel.launch(n_blocks, TILE_THREADS, dqkv, C, att, qkv, 3 * C, offsets, T, C)


# --- products -------------------------------------------------------------------------------------


@inlined
def _dots(
    sums, a, b, rows, rows_begin, rows_stride, n_rows, columns, columns_begin, columns_stride, n_columns, D
):
    """sums = this thread's square of rows @ columns.T, over their D columns; a and b are tiles to use."""
    clear(sums)
    for d in range(0, D, PANEL):
        depth = min(PANEL, D - d)
        load_transposed(a, rows, rows_begin + d, rows_stride, n_rows, depth)
        load_transposed(b, columns, columns_begin + d, columns_stride, n_columns, depth)
        add_product(sums, a, b, depth)


@inlined
def _weigh_keys(
    sums, a, b, out, out_begin, out_stride, weights, weights_begin, n, n_keys, x, x_begin, x_stride, D
):
    """out = weights.T @ x: for each of n queries D columns of sums over the keys.

    weights  (n_keys, n), a panel
    """
    i, j = corner()
    for d in range(0, D, PANEL):
        clear(sums)
        for key in range(0, n_keys, PANEL):
            depth = min(PANEL, n_keys - key)
            load(a, weights, weights_begin + key * n, n, depth, n)
            load(b, x, x_begin + key * x_stride + d, x_stride, depth, D - d)
            add_product(sums, a, b, depth)
        for r in range(PER_THREAD):
            for c in range(PER_THREAD):
                if i + r < n and d + j + c < D:
                    out[out_begin + (i + r) * out_stride + d + j + c] = sums[r, c]


# --- kernels --------------------------------------------------------------------------------------
# in a row of qkv, which has 3C numbers, q begins at column 0, k at C and v at 2C


@inlined
def _place(offsets, T):
    """The part of the work that this block does: block numbers go through panels, then heads, then sequences.

    Returns the number of the panel and the number of panels, the first row of the sequence, and of the head
    its number, its first column, its width, and the index at which it begins in att.
    """
    n_panels = (T + PANEL - 1) // PANEL
    head, panel = divided(cuda.blockIdx.x, n_panels)  # the head's number among those of all sequences
    sequence, h = divided(head, len(offsets) - 1)
    return panel, n_panels, sequence * T, h, offsets[h], offsets[h + 1] - offsets[h], head * T * T


@kernel
def _attention_forward_kernel(out, att, qkv, offsets, scales, T, C):
    a = cuda.shared.array((PANEL, ROW_LENGTH), out.dtype, alignment=16)
    b = cuda.shared.array((PANEL, ROW_LENGTH), out.dtype, alignment=16)
    sums = cuda.local.array((PER_THREAD, PER_THREAD), out.dtype)
    panel, n_panels, row, h, low, D, head = _place(offsets, T)
    # the longest panels come first, so that no block begins a long one when the others are done
    first = (n_panels - 1 - panel) * PANEL
    if D == 0:
        return
    real, scale = out.dtype.type, scales[h]
    n = min(PANEL, T - first)
    n_keys = first + n
    begin = head + first * T
    i, j = corner()
    for key in range(0, n_keys, PANEL):
        _dots(
            sums, a, b,
            qkv, (row + key) * 3 * C + C + low, 3 * C, n_keys - key,
            qkv, (row + first) * 3 * C + low, 3 * C, n, D,
        )  # fmt: skip
        for r in range(PER_THREAD):
            for c in range(PER_THREAD):
                if key + i + r < n_keys and j + c < n:
                    seen = key + i + r <= first + j + c
                    att[begin + (key + i + r) * n + j + c] = sums[r, c] * scale if seen else real(-inf)
    cuda.syncthreads()
    _softmax(att, begin, n, n_keys, a)
    _weigh_keys(
        sums, a, b, out, (row + first) * C + low, C,
        att, begin, n, n_keys, qkv, row * 3 * C + 2 * C + low, 3 * C, D,
    )  # fmt: skip


@inlined
def _softmax(att, panel, n, n_keys, shared):
    """The scores of a panel, (n_keys, n), become weights. A lane has one query; the warps share its keys."""
    query, warp = lane(), cuda.threadIdx.x // WARP
    first, end, step = panel + warp * n + query, panel + n_keys * n if query < n else 0, TILE_WARPS * n
    real = att.dtype.type
    highest = real(-inf)
    for place in range(first, end, step):
        highest = att[place] if att[place] > highest else highest
    shared[warp, query] = highest
    cuda.syncthreads()
    for other in range(TILE_WARPS):
        highest = shared[other, query] if shared[other, query] > highest else highest
    cuda.syncthreads()
    total = real(0.0)
    for place in range(first, end, step):
        weight = exp(att[place] - highest)
        att[place] = weight
        total += weight
    shared[warp, query] = total
    cuda.syncthreads()
    total = real(0.0)
    for other in range(TILE_WARPS):
        total += shared[other, query]
    for place in range(first, end, step):
        att[place] /= total
    cuda.syncthreads()


@kernel
def _attention_backward_kernel(dqkv, att, dout, out, qkv, offsets, scales, T, C):
    """Each block turns its panel of att into dscores, and computes dq from them."""
    a = cuda.shared.array((PANEL, ROW_LENGTH), out.dtype, alignment=16)
    b = cuda.shared.array((PANEL, ROW_LENGTH), out.dtype, alignment=16)
    totals = cuda.shared.array(PANEL, out.dtype)
    sums = cuda.local.array((PER_THREAD, PER_THREAD), out.dtype)
    panel, n_panels, row, h, low, D, head = _place(offsets, T)
    # the longest panels come first, so that no block begins a long one when the others are done
    first = (n_panels - 1 - panel) * PANEL
    if D == 0:
        return
    real, scale = out.dtype.type, scales[h]
    n = min(PANEL, T - first)
    n_keys = first + n
    begin = head + first * T
    for query in range(cuda.threadIdx.x // WARP, n, TILE_WARPS):
        place, total = (row + first + query) * C + low, real(0.0)
        for c in range(lane(), D, WARP):
            total += dout[place + c] * out[place + c]
        total = warp_sum(total)
        if lane() == 0:
            totals[query] = total
    i, j = corner()
    for key in range(0, n_keys, PANEL):
        _dots(
            sums, a, b,
            qkv, (row + key) * 3 * C + 2 * C + low, 3 * C, n_keys - key,
            dout, (row + first) * C + low, C, n, D,
        )  # fmt: skip
        for r in range(PER_THREAD):
            for c in range(PER_THREAD):
                if key + i + r < n_keys and j + c < n:
                    place = begin + (key + i + r) * n + j + c
                    att[place] *= (sums[r, c] - totals[j + c]) * scale
    cuda.syncthreads()
    _weigh_keys(
        sums, a, b, dqkv, (row + first) * 3 * C + low, 3 * C,
        att, begin, n, n_keys, qkv, row * 3 * C + C + low, 3 * C, D,
    )  # fmt: skip


@kernel
def _weigh_queries_kernel(out, column, att, x, x_stride, offsets, T, C):
    """out = weights @ x: for each key of a head D columns of sums over the queries that see it.

    A block has a panel of keys. out is the head's D columns of dqkv, in the third that begins at `column`;
    the weights are those in att; x has rows of x_stride numbers.
    """
    a = cuda.shared.array((PANEL, ROW_LENGTH), out.dtype, alignment=16)
    b = cuda.shared.array((PANEL, ROW_LENGTH), out.dtype, alignment=16)
    sums = cuda.local.array((PER_THREAD, PER_THREAD), out.dtype)
    panel, _, row, _, low, D, head = _place(offsets, T)
    key = panel * PANEL
    n_keys = min(PANEL, T - key)
    i, j = corner()
    for d in range(0, D, PANEL):
        clear(sums)
        for first in range(key, T, PANEL):
            n = min(PANEL, T - first)
            load_transposed(a, att, head + first * T + key * n, n, n_keys, n)
            load(b, x, (row + first) * x_stride + low + d, x_stride, n, D - d)
            add_product(sums, a, b, n)
        for r in range(PER_THREAD):
            for c in range(PER_THREAD):
                if i + r < n_keys and d + j + c < D:
                    out[(row + key + i + r) * 3 * C + column + low + d + j + c] = sums[r, c]


@kernel
def _last_queries_kernel(out, qkv, offsets, scales):
    """Each block computes one query of one head, in steps of THREADS keys.

    When a score is larger than all before it, the sums so far are scaled down to it.
    """
    weights = cuda.shared.array(THREADS, out.dtype)
    shared = cuda.shared.array(WARPS, out.dtype)
    C, T, thread = out.shape[1], len(qkv), cuda.threadIdx.x
    query, h = divided(cuda.blockIdx.x, len(offsets) - 1)
    low, high = offsets[h], offsets[h + 1]
    if low == high:
        return
    real, scale = out.dtype.type, scales[h]
    n_keys = T - len(out) + query + 1
    highest, total = real(-inf), real(0.0)
    for first in range(0, n_keys, THREADS):
        key = first + thread
        score = real(-inf)
        if key < n_keys:
            score, c = real(0.0), low
            while c < high:
                score += qkv[np.uint64(n_keys - 1), np.uint64(c)] * qkv[np.uint64(key), np.uint64(C + c)]
                c += 1
            score *= scale
        before, highest = highest, max(highest, block_max(score, shared))
        weights[thread] = exp(score - highest)
        shrink = exp(before - highest)
        total = total * shrink + block_sum(weights[thread], shared)
        for c in range(low + thread, high, THREADS):
            value = out[query, c] * shrink if first > 0 else real(0.0)
            for i in range(min(THREADS, n_keys - first)):
                value += weights[i] * qkv[first + i, 2 * C + c]
            out[query, c] = value
        cuda.syncthreads()
    for c in range(low + thread, high, THREADS):
        out[query, c] /= total
