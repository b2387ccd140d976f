"""From gradients to new parameters: the sum over the shards, the norm of the gradient, and Adam."""

from math import expm1, inf, log, sqrt

from numba import cuda

from microgpt_kernels.cublas.block import THREADS, WARPS, array_sum, block_sum, blocks
from microgpt_kernels.cublas.jit import kernel

# enough blocks to fill any GPU: with more, each block would start for less work
BLOCK_LIMIT = 1024


def shard_add(shards, bounds, into, other):
    """Adds the gradients in one slot to those in another.

    shards  (S*P,)         updated; tensor by tensor, the S copies of a tensor one after the other
    bounds  (J+1,)  int64  read; tensor j is bounds[j]:bounds[j+1] of P numbers
    into, other            which copy of each tensor is added to, and which is added
    """
    _shard_add_kernel.launch(len(bounds) - 1, THREADS, shards, bounds, into, other)


@kernel
def _shard_add_kernel(shards, bounds, into, other):
    """Each block adds the copies of one tensor."""
    S = len(shards) // bounds[len(bounds) - 1]
    low = bounds[cuda.blockIdx.x]
    size = bounds[cuda.blockIdx.x + 1] - low
    for i in range(S * low + cuda.threadIdx.x, S * low + size, THREADS):
        shards[into * size + i] += shards[other * size + i]


def shard_sum(out, shards, bounds, every, part):
    """Adds up gradients as a binary tree, always the same.

    out     (P,)           written; each tensor is cut into n parts, and only part number `part` is written
    shards  (S*P,)         consumed; tensor by tensor, the S copies of a tensor one after the other
    bounds  (J+1,)  int64  read; tensor j is bounds[j]:bounds[j+1] of out
    every                  the n copies 0, every, 2*every ... of each tensor are added
    """
    _shard_sum_kernel.launch(len(bounds) - 1, THREADS, out, shards, bounds, every, part)


@kernel
def _shard_sum_kernel(out, shards, bounds, every, part):
    """Each block adds up one tensor, and each thread a number at a time."""
    S = len(shards) // len(out)
    n = (S + every - 1) // every
    low = bounds[cuda.blockIdx.x]
    size = bounds[cuda.blockIdx.x + 1] - low
    step = every * size
    for i in range(part * size // n + cuda.threadIdx.x, (part + 1) * size // n, THREADS):
        first = S * low + i
        distance = 1  # from a copy to the one that is added to it
        while distance < n:
            for copy in range(0, n - distance, 2 * distance):
                shards[first + copy * step] += shards[first + (copy + distance) * step]
            distance *= 2
        out[low + i] = shards[first]


def gradient_norm(norm, grad):
    """norm = sqrt(sum(grad^2))

    norm  (1,)  written
    grad  (P,)  read
    """
    n = min(blocks(len(grad), 4 * THREADS), BLOCK_LIMIT)
    parts = grad.device.partial((n,), grad.dtype)
    _sum_of_squares_kernel.launch(n, THREADS, parts, grad)
    _root_of_sum_kernel.launch(1, THREADS, norm, parts)


@kernel
def _sum_of_squares_kernel(parts, values):
    shared = cuda.shared.array(WARPS, values.dtype)
    total = values.dtype.type(0.0)
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        total += values[i] * values[i]
    total = block_sum(total, shared)
    if cuda.threadIdx.x == 0:
        parts[cuda.blockIdx.x] = total


@kernel
def _root_of_sum_kernel(root, values):
    total = array_sum(values, cuda.shared.array(WARPS, values.dtype))
    if cuda.threadIdx.x == 0:
        root[0] = sqrt(total)


def adam_step(param, m, v, grad, norm, lr, decay, clock, beta1, beta2, eps, clip):
    """One step of Adam with bias correction (Kingma & Ba 2015, algorithm 1) and decoupled weight decay.

        m = beta1 m + (1 - beta1) grad,  v = beta2 v + (1 - beta2) grad^2
        param -= lr * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay * param)

    param, m, v  (P,)         updated; not changed once clock[1] is 1
    grad         (P,)         read; scaled down to the norm `clip` first if it is larger, unless clip is 0
    norm         (1,)         read; the norm of grad
    lr           (R,)         read; slot clock[0] mod R is this step's learning rate
    decay        (P,)         read; each parameter's weight decay; empty for none
    clock        (2,)  int64  read; the step, from 0, and whether the run has stopped
    """
    real = param.dtype.type
    _adam_step_kernel.launch(
        min(blocks(len(param)), BLOCK_LIMIT), THREADS, param, m, v, grad, norm, lr, decay, clock,
        real(beta1), real(1.0 - beta1), real(_log(beta1)), real(beta2), real(1.0 - beta2), real(_log(beta2)),
        real(eps), real(clip),
    )  # fmt: skip


def _log(beta):
    return log(beta) if beta > 0 else -inf


@kernel
def _adam_step_kernel(
    param, m, v, grad, norm, lr, decay, clock, beta1, new1, log_beta1, beta2, new2, log_beta2, eps, clip
):
    if clock[1] != 0:
        return
    real = param.dtype.type
    t = real(clock[0] + 1)
    # 1 - beta^t: as a difference in float32 it would lose digits
    correction1, correction2 = -expm1(t * log_beta1), -expm1(t * log_beta2)
    scale = clip / norm[0] if clip > real(0.0) and norm[0] > clip else real(1.0)
    rate = lr[clock[0] % len(lr)]
    for i in range(cuda.grid(1), len(param), cuda.gridsize(1)):
        g = grad[i] * scale
        m_i = beta1 * m[i] + new1 * g
        v_i = beta2 * v[i] + new2 * g * g
        m[i] = m_i
        v[i] = v_i
        change = (m_i / correction1) / (sqrt(v_i / correction2) + eps)
        if len(decay) > 0:
            change += decay[i] * param[i]
        param[i] -= rate * change
