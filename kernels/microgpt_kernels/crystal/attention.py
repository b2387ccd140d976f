"""Causal attention, one head at a time, for heads of any width (Vaswani et al. 2017, equation 1)."""

from math import sqrt

from microgpt_kernels.crystal.gemm import gemm, transpose
from microgpt_kernels.crystal.jit import inlined, kernel
from microgpt_kernels.crystal.vector import exp

# Rows of queries or keys taken at once. Work above the diagonal is skipped in steps of so many rows.
ROWS = 16


@kernel
def attention_forward(out, att, scratch, qkv, offsets):
    """For each sequence and head:

        att = softmax(q @ k.T / sqrt(D)) over the keys up to the query's own position, 0 beyond
        out = att @ v

    out      (N, C)         written; the heads side by side
    att      (B, H, T, T)   written; queries by keys, saved for the backward pass
    scratch  (T*C,)         scratch
    qkv      (N, 3C)        read
    offsets  (H+1,)  int32  read; head h owns columns offsets[h]:offsets[h+1] of q, of k and of v

    With fewer rows in out than in qkv there is one sequence, and the queries are its last rows: only their
    rows of att are written. Heads of width 0 are skipped.
    """
    B = att.shape[0]
    C = out.shape[1]
    Tq, Tk = out.shape[0] // B, qkv.shape[0] // B
    first = Tk - Tq
    for b in range(B):
        rows = qkv[b * Tk : (b + 1) * Tk]
        for h in range(len(offsets) - 1):
            low, high = offsets[h], offsets[h + 1]
            D = high - low
            if D == 0:
                continue
            scale = out.dtype.type(1.0 / sqrt(D))
            q, k = rows[first:, low:high], rows[:, C + low : C + high]
            v, o = rows[:, 2 * C + low : 2 * C + high], out[b * Tq : (b + 1) * Tq, low:high]
            weights = att[b, h, first:Tk, :Tk]
            if Tq == 1:
                _one_query(o[0], weights[0], q[0], k, v, scale)
                continue
            k_T = scratch[: D * Tk].reshape(D, Tk)
            transpose(k_T, k)
            for i in range(0, Tq, ROWS):
                j = min(i + ROWS, Tq)
                seen = first + j
                gemm(weights[i:j, :seen], q[i:j], k_T[:, :seen], 0.0)
                for t in range(i, j):
                    _softmax(weights[t], first + t + 1, scale)
                gemm(o[i:j], weights[i:j, :seen], v[:seen], 0.0)


@inlined
def _softmax(row, n, scale):
    """The first n values of a row of scores become weights, the others 0."""
    real = row.dtype.type
    highest = row[0]
    for j in range(n):
        highest = max(highest, row[j])
    total = real(0.0)
    for j in range(n):
        row[j] = exp((row[j] - highest) * scale)
        total += row[j]
    inverse = real(1.0) / total
    for j in range(n):
        row[j] *= inverse
    for j in range(n, len(row)):
        row[j] = real(0.0)


@inlined
def _one_query(out, weights, q, k, v, scale):
    """A single query, as in generation: dot products, for which a transposed copy of k would not pay."""
    Tk, D = k.shape
    real = out.dtype.type
    for j in range(Tk):
        score = real(0.0)
        for d in range(D):
            score += q[d] * k[j, d]
        weights[j] = score
    _softmax(weights, Tk, scale)
    for d in range(D):
        out[d] = real(0.0)
    for j in range(Tk):
        for d in range(D):
            out[d] += weights[j] * v[j, d]


@kernel
def attention_backward(dqkv, scratch, dout, qkv, att, offsets):
    """Gradient of `attention_forward` for whole sequences. For each sequence and head:

        datt    = dout @ v.T
        dscores = att * (datt - sum_keys(att * datt)) / sqrt(D)
        dq      = dscores @ k
        dk      = dscores.T @ q
        dv      = att.T @ dout

    dqkv     (N, 3C)        written
    scratch  (T*T+T*C,)     scratch
    dout     (N, C)         read
    qkv      (N, 3C)        read
    att      (B, H, T, T)   read, as saved by the forward
    offsets  (H+1,)  int32  read
    """
    B = att.shape[0]
    C = dout.shape[1]
    T = dout.shape[0] // B
    dscores = scratch[: T * T].reshape(T, T)
    for b in range(B):
        rows, drows = qkv[b * T : (b + 1) * T], dqkv[b * T : (b + 1) * T]
        for h in range(len(offsets) - 1):
            low, high = offsets[h], offsets[h + 1]
            D = high - low
            if D == 0:
                continue
            scale = dout.dtype.type(1.0 / sqrt(D))
            q, k, v = rows[:, low:high], rows[:, C + low : C + high], rows[:, 2 * C + low : 2 * C + high]
            dq, dk, dv = (
                drows[:, low:high],
                drows[:, C + low : C + high],
                drows[:, 2 * C + low : 2 * C + high],
            )
            o, weights = dout[b * T : (b + 1) * T, low:high], att[b, h]
            v_T = scratch[T * T : T * T + D * T].reshape(D, T)
            transpose(v_T, v)
            for i in range(0, T, ROWS):
                j = min(i + ROWS, T)
                gemm(dscores[i:j, :j], o[i:j], v_T[:, :j], 0.0)
                for t in range(i, j):
                    _softmax_backward(dscores[t, :j], weights[t, :j], scale)
                gemm(dq[i:j], dscores[i:j, :j], k[:j], 0.0)
            # key i is seen by the queries from i on
            for i in range(0, T, ROWS):
                j = min(i + ROWS, T)
                gemm(dk[i:j], dscores[i:, i:j].T, q[i:], 0.0)
                gemm(dv[i:j], weights[i:, i:j].T, o[i:], 0.0)


@inlined
def _softmax_backward(row, weights, scale):
    """A row of gradients of the weights becomes the gradient of the scores; 0 where the weight is 0."""
    total = row.dtype.type(0.0)
    for j in range(len(row)):
        total += weights[j] * row[j]
    for j in range(len(row)):
        row[j] = weights[j] * (row[j] - total) * scale
