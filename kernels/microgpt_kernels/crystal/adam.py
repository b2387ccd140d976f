"""From gradients to new parameters: the sum over the shards, the norm of the gradient, and Adam."""

from math import sqrt

import numpy as np

from microgpt_kernels.crystal.jit import inlined, kernel
from microgpt_kernels.crystal.reciprocal import reciprocal


@kernel
def shard_sum(out, shards, bounds, part):
    """Adds up the gradients of the shards in their order, so the number of threads does not change the sum.

    out     (P,)           written; each tensor is cut into S parts, and only part number `part` is written
    shards  (S*P,)         read; tensor by tensor, the S copies of a tensor one after the other
    bounds  (J+1,)  int64  read; tensor j is bounds[j]:bounds[j+1] of out
    """
    S = len(shards) // len(out)
    for j in range(len(bounds) - 1):
        low, size = bounds[j], bounds[j + 1] - bounds[j]
        begin, end = part * size // S, (part + 1) * size // S
        total = out[low + begin : low + end]
        for s in range(S):
            first = S * low + s * size
            copy = shards[first + begin : first + end]
            for i in range(len(total)):
                total[i] = copy[i] if s == 0 else total[i] + copy[i]


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
