"""Causal attention, one head at a time, for heads of any width (Vaswani et al. 2017, equation 1).

Attention weights are stored transposed, with keys as rows and queries as columns, so each lane of a vector
belongs to one query. Then the softmax goes down the columns and never across the lanes, and the products of a
head of only a few columns fill whole vectors, too.
"""

import numpy as np

from microgpt_kernels.crystal.exponential import exp
from microgpt_kernels.crystal.gemm import dots, gemm, transpose
from microgpt_kernels.crystal.jit import inlined, kernel
from microgpt_kernels.crystal.softmax import softmax_row
from microgpt_kernels.crystal.vector import filled, from_lane, lanes, load, maximum, store, sum_lanes

# How many queries are computed and saved together, as the columns of a panel; the last panel may have fewer.
# A panel is contiguous in memory and stays in the first-level cache. It has no rows for the keys after its
# last query.
PANEL = 32


@kernel
def attention_forward(out, att, scratch, qkv, offsets, scales):
    """For each sequence and head:

        att = softmax(scale * k @ q.T) over the keys up to the query's own position
        out = att.T @ v

    out      (N, C)         written; the heads side by side
    att      (B, H, T*T)    saved; the weights in panels, with keys as rows and queries as columns
    scratch  (2*T*C,)       scratch
    qkv      (N, 3C)        read
    offsets  (H+1,)  int32  read; head h has columns offsets[h]:offsets[h+1] of q, of k and of v
    scales   (H,)           read; what the scores of each head are multiplied by

    If out has fewer rows than qkv, there is one sequence, its last rows are the queries, and nothing is
    saved. Heads of width 0 are skipped.
    """
    B = att.shape[0]
    C = out.shape[1]
    Tq, T = out.shape[0] // B, qkv.shape[0] // B
    if Tq < T:
        for t in range(Tq):
            _one_query(out, t, scratch, qkv[: T - Tq + t + 1], offsets, scales)
        return
    q_T, out_T = scratch[: C * T].reshape(C, T), scratch[C * T : 2 * C * T].reshape(C, T)
    for b in range(B):
        rows = qkv[b * T : (b + 1) * T]
        transpose(q_T, rows[:, :C])
        for h in range(len(offsets) - 1):
            low, high = offsets[h], offsets[h + 1]
            if low == high:
                continue
            k, v = rows[:, C + low : C + high], rows[:, 2 * C + low : 2 * C + high]
            for i in range(0, T, PANEL):
                j = min(i + PANEL, T)
                weights = att[b, h, i * T : i * T + j * (j - i)].reshape(j, j - i)
                gemm(weights, k[:j], q_T[low:high, i:j], 0.0)
                _softmax(weights, i, scales[h])
                gemm(out_T[low:high, i:j], v[:j].T, weights, 0.0)
        transpose(out[b * T : (b + 1) * T], out_T)


@inlined
def _softmax(weights, first, scale):
    """Turns a panel of scores into weights: rows are keys, columns are n queries from `first` on."""
    real = weights.dtype.type
    n_keys, n = weights.shape
    W = lanes(weights)
    for i in range(0, n, W):
        # keys before all_see are seen by all of these queries, keys from seen on by none
        all_see, seen = first + i, min(first + i + W, n_keys)
        highest = filled(-np.inf, weights)
        for j in range(0, all_see, 2):  # all_see is even; two rows at a time are faster
            highest = maximum(highest, maximum(load(weights, j, i, n), load(weights, j + 1, i, n)))
        for j in range(all_see, seen):
            score = from_lane(load(weights, j, i, n), j - all_see, -np.inf)
            store(score, weights, j, i, n)
            highest = maximum(highest, score)
        highest = highest * scale
        total = filled(0.0, weights)
        for j in range(seen):
            weight = exp(load(weights, j, i, n) * scale - highest)
            total += weight
            store(weight, weights, j, i, n)
        inverse = real(1.0) / total
        for j in range(seen):
            store(load(weights, j, i, n) * inverse, weights, j, i, n)
        for j in range(seen, n_keys):
            store(filled(0.0, weights), weights, j, i, n)


@inlined
def _one_query(out, t, scratch, qkv, offsets, scales):
    """Attention of the last row's query alone, as in generation. The lanes are columns of q, k and v here."""
    T, C = len(qkv), out.shape[1]
    W = lanes(out)
    weights = scratch[:T].reshape(1, T)
    for h in range(len(offsets) - 1):
        low, high = offsets[h], offsets[h + 1]
        if low == high:
            continue
        for j in range(T):
            scores = filled(0.0, out)
            for c in range(low, high, W):
                scores += load(qkv, T - 1, c, high) * load(qkv, j, C + c, C + high)
            weights[0, j] = sum_lanes(scores)
        softmax_row(weights, weights, 0, scales[h])
        for c in range(low, high, W):
            values = filled(0.0, out)
            for j in range(T):
                values += load(qkv, j, 2 * C + c, 2 * C + high) * weights[0, j]
            store(values, out, t, c, high)


@kernel
def attention_backward(dqkv, scratch, att, dout, out, qkv, offsets, scales):
    """Gradient of `attention_forward` for whole sequences. For each sequence and head:

        datt    = v @ dout.T
        dscores = scale * att * (datt - sum_D(dout * out).T)
        dq      = dscores.T @ k
        dk      = dscores @ q
        dv      = att @ dout

    dqkv     (N, 3C)         written
    scratch  (6*T*C+32*T,)   scratch; for six transposed matrices, and a panel of at most PANEL = 32 queries
    att      (B, H, T*T)     saved; not overwritten
    dout     (N, C)          read
    out      (N, C)          read; as written by the forward kernel
    qkv      (N, 3C)         read
    offsets  (H+1,)  int32   read
    scales   (H,)            read

    The gradient of a softmax needs sum_keys(att * datt) for each query. That equals sum_D(dout * out), which
    is cheaper to compute (Dao et al. 2022, appendix B.2).
    """
    B = att.shape[0]
    C = dout.shape[1]
    T = dout.shape[0] // B
    transposed = scratch[: 6 * T * C].reshape(6, C, T)
    q_T, dout_T, out_T = transposed[0], transposed[1], transposed[2]
    dq_T, dk_T, dv_T = transposed[3], transposed[4], transposed[5]
    for b in range(B):
        rows, drows = qkv[b * T : (b + 1) * T], dqkv[b * T : (b + 1) * T]
        dout_rows, out_rows = dout[b * T : (b + 1) * T], out[b * T : (b + 1) * T]
        transpose(q_T, rows[:, :C])
        transpose(dout_T, dout_rows)
        transpose(out_T, out_rows)
        for h in range(len(offsets) - 1):
            low, high = offsets[h], offsets[h + 1]
            if low == high:
                continue
            k, v = rows[:, C + low : C + high], rows[:, 2 * C + low : 2 * C + high]
            dk, dv = drows[:, C + low : C + high], drows[:, 2 * C + low : 2 * C + high]
            narrow = T % lanes(dout) == 0 and 2 * (high - low) <= lanes(dout)
            for i in range(0, T, PANEL):
                j = min(i + PANEL, T)
                weights = att[b, h, i * T : i * T + j * (j - i)].reshape(j, j - i)
                dscores = scratch[6 * T * C : 6 * T * C + j * (j - i)].reshape(j, j - i)
                gemm(dscores, v[:j], dout_T[low:high, i:j], 0.0)
                _softmax_backward(dscores, weights, dout_T[low:high, i:j], out_T[low:high, i:j], i, scales[h])
                gemm(dq_T[low:high, i:j], k[:j].T, dscores, 0.0)
                if narrow:
                    _add_dots(dk_T[low:high, :j], q_T[low:high, i:j], dscores, i)
                    _add_dots(dv_T[low:high, :j], dout_T[low:high, i:j], weights, i)
                else:
                    _add_products(dk[:j], dscores, rows[i:j, low:high], i)
                    _add_products(dv[:j], weights, dout_rows[i:j, low:high], i)
            if narrow:
                transpose(dk, dk_T[low:high])
                transpose(dv, dv_T[low:high])
        transpose(drows[:, :C], dq_T)


@inlined
def _add_products(out, weights, queries, first):
    """Adds weights @ queries to out; rows of out from `first` on have no sum yet and are overwritten."""
    gemm(out[:first], weights[:first], queries, out[:first])
    gemm(out[first:], weights[first:], queries, 0.0)


@inlined
def _add_dots(out_T, queries_T, weights, first):
    """The same with all matrices but the weights transposed: faster for a head with few columns."""
    W = lanes(weights)
    for j in range(0, weights.shape[0], W):
        dots(out_T[:, j : j + W], queries_T, weights[j : j + W], j < first)


@inlined
def _softmax_backward(dweights, weights, dout_T, out_T, first, scale):
    """Turns the gradient of a panel of attention weights into the gradient of its scores, in place.

    Rows are keys, columns are n queries from `first` on.
    """
    n_keys, n = dweights.shape
    W = lanes(weights)
    for i in range(0, n, W):
        seen = min(first + i + W, n_keys)
        total = filled(0.0, weights)
        for c in range(len(out_T)):
            total += load(dout_T, c, i, n) * load(out_T, c, i, n)
        for j in range(seen):
            dscore = load(weights, j, i, n) * (load(dweights, j, i, n) - total) * scale
            store(dscore, dweights, j, i, n)
        for j in range(seen, n_keys):
            store(filled(0.0, weights), dweights, j, i, n)
