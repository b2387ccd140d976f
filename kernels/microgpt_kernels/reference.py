"""The reference backend: every kernel in plain NumPy, slow and simple. Read it to learn what is computed.

It is meant for float64, in which finite differences can check its gradients, but works in float32 too.
`contract.py` gives the shape of each argument, its mode (written, updated, read, ...) and the meaning of the
letters.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from microgpt_kernels.contract import LAYERNORM_EPS

shards = range


def zeros(shape, dtype):
    return np.zeros(shape, dtype)


def to_device(values):
    return values


def to_host(array):
    return array


def from_host(array, values):
    array[...] = values


def compile(step, n_counters=0):
    def steps(n, state):
        for _ in range(n):
            step(state, *(int(state.clock[i]) for i in range(n_counters)))

    return steps


def max_shards():
    return 64


def overhead():
    return 0


def set_threads(n_threads):
    """Does nothing: NumPy chooses its number of threads itself."""


def describe():
    return f"NumPy {np.__version__}; slow, for tests and for learning"


# --- the data -------------------------------------------------------------------------------------


def batch_fill(inputs, targets, n_targets, ids, order, clock, stride):
    """Row b goes through the chunks b*Q//B to (b+1)*Q//B of the text; chunk i starts at character i*stride.

    Chunks overlap if the stride is below T. So only the last `stride` targets of a chunk are used: those
    before them belong to the previous chunk. In the first chunk all targets are used. An empty `order` means
    the order of the text.
    """
    B, T = inputs.shape
    length = len(ids)
    n_chunks = 1 + max(0, -(-(length - 1 - T) // stride))
    step = clock[0] % -(-n_chunks // B)
    inputs[...] = 0
    targets[...] = -1
    n_targets[0] = 0
    for b in range(B):
        place = b * n_chunks // B + step
        if place < (b + 1) * n_chunks // B:
            chunk = order[place] if len(order) else place
            start = chunk * stride
            stop = min(start + T, length - 1)
            first = start if chunk == 0 else start + T - stride
            inputs[b, : stop - start] = ids[start:stop]
            targets[b, first - start : stop - start] = ids[first + 1 : stop + 1]
            n_targets[0] += stop - first


# --- the model ------------------------------------------------------------------------------------


def embedding_forward(out, ids, table):
    out[...] = table[ids]


def embedding_backward(dtable, dout, ids):
    dtable[...] = 0
    np.add.at(dtable, ids, dout)


def position_forward(out, table, start):
    out += table[(start + np.arange(len(out))) % len(table)]


def position_backward(dtable, dout):
    T, C = dtable.shape
    dtable[...] = dout.reshape(-1, T, C).sum(axis=0)


def layernorm_forward(out, mean, rstd, inp, weight, bias):
    """out = weight * (inp - mean) / sqrt(variance + eps) + bias, row by row (Ba et al. 2016, equation 4)."""
    mean[...] = inp.mean(axis=1)
    rstd[...] = 1 / np.sqrt(inp.var(axis=1) + LAYERNORM_EPS)
    out[...] = weight * (inp - mean[:, None]) * rstd[:, None] + bias


def layernorm_backward(dinp, dweight, dbias, dout, inp, weight, mean, rstd):
    """With xhat = (inp - mean) * rstd and g = dout * weight:

    dinp = rstd * (g - avg(g) - xhat * avg(g * xhat)), dweight = sum(dout * xhat), dbias = sum(dout)
    """
    xhat = (inp - mean[:, None]) * rstd[:, None]
    g = dout * weight
    dweight[...] = (dout * xhat).sum(axis=0)
    dbias[...] = dout.sum(axis=0)
    dinp[...] = rstd[:, None] * (
        g - g.mean(axis=1, keepdims=True) - xhat * (g * xhat).mean(axis=1, keepdims=True)
    )


def shift_forward(out, inp, n_sequences):
    """The first half of the columns is that of the position before, which is 0 before the first position.

    It is the time shift of RWKV (Peng et al. 2023, arXiv 2305.13048), there with a learned share of the
    position before in each column. If out has fewer rows than inp, they are the last ones.
    """
    C = inp.shape[1]
    shifted = inp.reshape(n_sequences, -1, C).copy()
    shifted[:, 1:, : C // 2] = shifted[:, :-1, : C // 2].copy()
    shifted[:, 0, : C // 2] = 0
    out[...] = shifted.reshape(inp.shape)[len(inp) - len(out) :]


def shift_backward(dinp, dout, n_sequences):
    """The first half of the columns is that of the position after, which is 0 after the last position."""
    C = dout.shape[1]
    shifted = dout.reshape(n_sequences, -1, C).copy()
    shifted[:, :-1, : C // 2] = shifted[:, 1:, : C // 2].copy()
    shifted[:, -1, : C // 2] = 0
    dinp[...] = shifted.reshape(dout.shape)


def linear_forward(out, inp, weight, bias):
    out[...] = inp @ weight + bias


def linear_backward(dinp, dweight, dbias, scratch, dout, inp, weight):
    dinp[...] = dout @ weight.T
    dweight[...] = inp.T @ dout
    dbias[...] = dout.sum(axis=0)


def rope_forward(qkv, cos, sin, offsets, start):
    """Rotate columns (2j, 2j+1) of each head by position * 10000^(-2j/D) (Su et al. 2021, equation 34).

    The last column of a head of odd width is not changed.
    """
    _rotate(qkv, cos, sin, offsets, start, 1)


def rope_backward(dqkv, cos, sin, offsets):
    """The gradient of a rotation is the rotation by the opposite angle."""
    _rotate(dqkv, cos, sin, offsets, 0, -1)


def _rotate(qkv, cos, sin, offsets, start, direction):
    T, C = cos.shape
    t = (start + np.arange(len(qkv))) % T
    for first in (0, C):  # q, then k
        for low, high in pairwise(offsets):
            for c in range(low, high - 1, 2):
                x, y = qkv[:, first + c].copy(), qkv[:, first + c + 1].copy()
                qkv[:, first + c] = x * cos[t, c] - direction * y * sin[t, c]
                qkv[:, first + c + 1] = direction * x * sin[t, c] + y * cos[t, c]


def attention_forward(out, att, scratch, qkv, offsets, scales):
    """For each sequence and head (Vaswani et al. 2017, equation 1):

        att = softmax(scale * q k^T),  out = att v

    where the keys after a query have a score of -infinity. This backend saves att as (B, H, T, T), a row for
    each query and a column for each key.
    """
    B, C = len(att), out.shape[1]
    n_queries, T = len(out) // B, len(qkv) // B
    first = T - n_queries
    future = np.arange(T) > np.arange(first, T)[:, None]
    out, qkv = out.reshape(B, n_queries, C), qkv.reshape(B, T, 3 * C)
    for b in range(B):
        for h, (low, high) in enumerate(pairwise(offsets)):
            if low == high:
                continue
            q, k, v = (qkv[b, :, i * C + low : i * C + high] for i in range(3))
            scores = scales[h] * (q[first:] @ k.T)
            scores[future] = -np.inf
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            if n_queries == T:
                att[b, h, : T * T] = weights.reshape(T * T)
            out[b, :, low:high] = weights @ v


def attention_backward(dqkv, scratch, att, dout, out, qkv, offsets, scales):
    """For each sequence and head:

        datt = dout v^T,  dscores = scale * att * (datt - sum_D(dout * out))
        dq = dscores k,  dk = dscores^T q,  dv = att^T dout

    The gradient of a softmax needs sum_keys(att * datt) for each query. That equals sum_D(dout * out), which
    is cheaper to compute (Dao et al. 2022, appendix B.2).
    """
    B, C = len(att), dout.shape[1]
    T = len(dout) // B
    dqkv, qkv = dqkv.reshape(B, T, 3 * C), qkv.reshape(B, T, 3 * C)
    dout, out = dout.reshape(B, T, C), out.reshape(B, T, C)
    for b in range(B):
        for h, (low, high) in enumerate(pairwise(offsets)):
            if low == high:
                continue
            q, k, v = (qkv[b, :, i * C + low : i * C + high] for i in range(3))
            dq, dk, dv = (dqkv[b, :, i * C + low : i * C + high] for i in range(3))
            weights, d = att[b, h, : T * T].reshape(T, T), dout[b, :, low:high]
            total = (d * out[b, :, low:high]).sum(axis=1, keepdims=True)
            dscores = scales[h] * weights * (d @ v.T - total)
            dq[...] = dscores @ k
            dk[...] = dscores.T @ q
            dv[...] = weights.T @ d


def residual_forward(out, inp, branch):
    out[...] = inp + branch


def residual_backward(dinp, dbranch):
    dinp += dbranch


def relu_forward(out, inp):
    out[...] = np.maximum(inp, 0)


def relu_backward(dinp, dout, out):
    dinp[...] = np.where(out > 0, dout, 0)


def relu_squared_forward(out, inp):
    """out = max(inp, 0)^2 (So et al. 2021, Primer, arXiv 2109.08668)."""
    out[...] = np.maximum(inp, 0) ** 2


def relu_squared_backward(dinp, dout, out):
    """dinp = 2 * max(inp, 0) * dout, where max(inp, 0) is the root of out."""
    dinp[...] = 2 * np.sqrt(out) * dout


def cross_entropy_forward(losses, probs, logits, targets):
    """losses = -log softmax(logits)[target]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    probs[...] = np.exp(shifted) / total
    picked = np.log(total[:, 0]) - shifted[np.arange(len(targets)), targets]
    losses[...] = np.where(targets >= 0, picked, 0)


def cross_entropy_backward(dlogits, probs, targets, n_targets):
    """dlogits = (probs - 1[target]) / n_targets, and 0 where there is no target."""
    dlogits[...] = probs
    dlogits[np.arange(len(targets)), targets] -= 1
    dlogits *= np.where(targets >= 0, 1 / max(n_targets[0], 1), 0)[:, None]


# --- the optimizer --------------------------------------------------------------------------------


def shard_add(shards, bounds, into, other):
    S = len(shards) // bounds[-1]
    for low, high in pairwise(bounds):
        copies = shards[S * low : S * high].reshape(S, high - low)
        copies[into] += copies[other]


def shard_sum(out, shards, bounds, every, part):
    S = len(shards) // len(out)
    for low, high in pairwise(bounds):
        size = high - low
        copies = shards[S * low : S * high].reshape(S, size)[::every]
        piece = slice(part * size // len(copies), (part + 1) * size // len(copies))
        out[low:high][piece] = _tree_sum(copies)[piece]


def _tree_sum(copies):
    n = len(copies)
    if n == 1:
        return copies[0]
    left = 1 << (n - 1).bit_length() - 1  # the largest power of two below n
    return _tree_sum(copies[:left]) + _tree_sum(copies[left:])


def gradient_norm(norm, grad):
    norm[0] = np.sqrt(np.sum(grad**2))


def step_record(log, clock, losses, n_targets, norm):
    loss = losses.sum() / max(n_targets[0], 1)
    if not clock[1]:
        log[clock[0] % len(log)] = loss, norm[0]
    if not (np.isfinite(loss) and np.isfinite(norm[0])):
        clock[1] = 1


def adam_step(param, m, v, grad, norm, lr, decay, clock, beta1, beta2, eps, clip):
    """One step of Adam with bias correction (Kingma & Ba 2015, algorithm 1) and decoupled weight decay.

    The gradient is scaled down to the norm `clip` first, unless clip is 0.
    """
    if clock[1]:
        return
    t = clock[0] + 1
    rate = lr[clock[0] % len(lr)]
    scaled = grad * min(1.0, clip / norm[0]) if clip > 0 and norm[0] > 0 else grad
    m[...] = beta1 * m + (1 - beta1) * scaled
    v[...] = beta2 * v + (1 - beta2) * scaled**2
    mhat = m / (1 - beta1**t)
    vhat = v / (1 - beta2**t)
    param -= rate * (mhat / (np.sqrt(vhat) + eps) + (decay * param if len(decay) else 0))


def clock_advance(clock):
    if not clock[1]:
        clock[0] += 1


# --- evaluation and generation --------------------------------------------------------------------


def loss_sum(total, counted, losses, n_targets):
    total[0] += losses.sum()
    counted[0] += n_targets[0]


def interpolate(logits, expected, weight):
    """The logs of the probabilities that two distributions have together, one of them given by logits.

    logits = log((1 - weight) * softmax(logits) + weight * expected) (Jelinek & Mercer 1980)
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = powers / powers.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):  # the log of a probability of 0 is minus infinity
        logits[...] = np.log((1 - weight) * probs + weight * expected)


def sample(window, output, clock, scratch, logits, uniform, temperature, top_k, top_p):
    """Draw the next character and put it into the window.

    clock holds three numbers: how many characters the window has, how many of their rows are computed, and
    how many characters have been drawn. Temperature 0 takes the likeliest character. top_k 0 and top_p 1
    exclude no character; both are applied to the probabilities of all characters. Of equally likely
    characters the one with the lower id counts as the likelier. A random number in [0, 1) picks the
    character: the probabilities are summed in the order of ids until the sum is above that number. If the
    window is full, its newer half moves to the front, and the rows of that half are computed again.
    """
    T, V = len(window), logits.shape[1]
    row = logits[-1].astype(np.float64)
    likeliest = np.argsort(-row, kind="stable")
    if temperature == 0:
        drawn = likeliest[0]
    else:
        probs = np.exp((row - row.max()) / temperature)
        probs /= probs.sum()
        n = min(top_k or V, V)
        if top_p < 1:
            n = min(n, 1 + np.searchsorted(np.cumsum(probs[likeliest]), top_p))
        kept = np.sort(likeliest[:n])
        mass = np.cumsum(probs[kept])
        drawn = kept[min(np.searchsorted(mass, uniform[clock[2]] * mass[-1], side="right"), n - 1)]
    if clock[0] == T:
        keep = T // 2
        window[:keep] = window[T - keep :].copy()
        clock[0] = keep
        clock[1] = 0
    else:
        clock[1] = clock[0]
    window[clock[0]] = drawn
    clock[0] += 1
    output[clock[2]] = drawn
    clock[2] += 1
