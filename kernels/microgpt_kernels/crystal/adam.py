"""From gradients to new parameters: the sum over the shards, the norm of the gradient, and Adam."""

from math import sqrt

import numpy as np

from microgpt_kernels.crystal.jit import inlined, kernel
from microgpt_kernels.crystal.reciprocal import reciprocal

BLOCK = 2048  # numbers of a tensor that shard_sum adds up at a time, so that they stay in a core's cache


@kernel
def shard_add(shards, bounds, into, other):
    """Adds the gradients in one slot to those in another.

    shards  (S*P,)         updated; tensor by tensor, the S copies of a tensor one after the other
    bounds  (J+1,)  int64  read; tensor j is bounds[j]:bounds[j+1] of P numbers
    into, other            which copy of each tensor is added to, and which is added
    """
    S = len(shards) // bounds[-1]
    for j in range(len(bounds) - 1):
        low, size = S * bounds[j], bounds[j + 1] - bounds[j]
        total = shards[low + into * size : low + (into + 1) * size]
        _add(total, total, shards[low + other * size : low + (other + 1) * size])


@kernel
def shard_sum(out, shards, bounds, every, part):
    """Adds up gradients as a binary tree, so that the number of threads does not change the sum.

    out     (P,)           written; each tensor is cut into n parts, and only part number `part` is written
    shards  (S*P,)         consumed; tensor by tensor, the S copies of a tensor one after the other
    bounds  (J+1,)  int64  read; tensor j is bounds[j]:bounds[j+1] of out
    every                  the n copies 0, every, 2*every ... of each tensor are added
    """
    S = len(shards) // len(out)
    n = (S + every - 1) // every
    for j in range(len(bounds) - 1):
        low, size = bounds[j], bounds[j + 1] - bounds[j]
        copies = shards[S * low : S * (low + size)]
        for begin in range(part * size // n, (part + 1) * size // n, BLOCK):
            end = min(begin + BLOCK, (part + 1) * size // n)
            _tree_sum(out[low + begin : low + end], copies[begin:], every * size, n)


@inlined
def _tree_sum(out, copies, step, n):
    """out = the sum of the n rows of copies that begin at 0, step, 2*step ..."""
    width, distance = len(out), 1  # from a row to the one that is added to it
    # each loop has a single addition: where there are more, the compiler may choose their order
    while 2 * distance < n:
        for row in range(0, n - distance, 2 * distance):
            left = copies[row * step : row * step + width]
            right = copies[(row + distance) * step : (row + distance) * step + width]
            _add(left, left, right)
        distance *= 2
    if n > 1:
        _add(out, copies[:width], copies[distance * step : distance * step + width])
    else:
        for i in range(width):
            out[i] = copies[i]


@inlined
def _add(out, left, right):
    for i in range(len(out)):
        out[i] = left[i] + right[i]


@kernel
def gradient_norm(norm, grad):
    """norm = sqrt(sum(grad^2))

    norm  (1,)  written
    grad  (P,)  read
    """
    total = grad.dtype.type(0.0)
    for i in range(len(grad)):
        total += grad[i] * grad[i]
    norm[0] = sqrt(total)


@kernel
def adam_step(param, m, v, grad, norm, lr, decay, clock, beta1, beta2, eps, clip):
    """One step of Adam with bias correction (Kingma & Ba 2015, algorithm 1) and decoupled weight decay.

        m = beta1 m + (1 - beta1) grad,  v = beta2 v + (1 - beta2) grad^2
        param -= lr * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay * param)

    Moments that are almost denormal numbers are set to 0.

    param, m, v  (P,)         updated; not changed once clock[1] is 1
    grad         (P,)         read; scaled down to the norm `clip` first if it is larger, unless clip is 0
    norm         (1,)         read; the norm of grad
    lr           (R,)         read; slot clock[0] mod R is this step's learning rate
    decay        (P,)         read; each parameter's weight decay; empty for none
    clock        (2,)  int64  read; the step, from 0, and whether the run has stopped
    """
    if clock[1] != 0:
        return
    real = grad.dtype.type
    t = clock[0] + 1
    shrink = clip / norm[0] if clip > 0.0 and norm[0] > clip else 1.0
    scale, keep1, keep2 = real(shrink), real(beta1), real(beta2)
    new1, new2, tiny = real(1.0 - beta1), real(1.0 - beta2), real(eps)
    rate = lr[clock[0] % len(lr)]
    step_size = real(rate / (1.0 - beta1**t))
    correction = real(1.0 / (1.0 - beta2**t))
    _drop_smallest(m, clock[0])
    _drop_smallest(v, clock[0])
    if len(decay) > 0:
        keep = real(rate)
        for i in range(len(param)):
            param[i] -= keep * decay[i] * param[i]
    for i in range(len(param)):
        g = grad[i] * scale
        m_i = keep1 * m[i] + new1 * g
        v_i = keep2 * v[i] + new2 * g * g
        m[i] = m_i
        v[i] = v_i
        # roots and divisions share one slow unit of the processor, so only the root is left to that unit
        param[i] -= step_size * m_i * reciprocal(sqrt(v_i * correction) + tiny)


# Each moment is checked once in TURNS steps. In that time m shrinks by a factor of 0.9 ** 64 = 2 ** -9.7 at
# most, so a moment that was above the margin has not become a denormal number.
TURNS, MARGIN = 64, 2.0**10


@inlined
def _drop_smallest(moments, step):
    """Sets moments below MARGIN times the smallest normal number to 0, before they become denormal numbers.

    The moments of a rare character shrink to denormal numbers and stay there: 0.9 times the smallest of them
    rounds to itself. Processors compute with such numbers slowly, some a hundred times as slowly. With an eps
    of 1e-8, this changes no parameter by more than 1e-25 of the learning rate.
    """
    P, turn = len(moments), step % TURNS
    zero, least = moments.dtype.type(0.0), moments.dtype.type(MARGIN) * np.finfo(moments.dtype).tiny
    part = moments[turn * P // TURNS : (turn + 1) * P // TURNS]
    for i in range(len(part)):
        part[i] = zero if abs(part[i]) < least else part[i]  # NaN compares false, and stays NaN
