"""From gradients to new parameters: the shards' sum, the norm, the log of the step, and Adam."""

from math import expm1, inf, isfinite, log, sqrt

from numba import cuda

from microgpt_kernels.cublas.jit import inlined, kernel
from microgpt_kernels.cublas.threads import THREADS, WARPS, block_sum, blocks

# enough blocks to fill any GPU: more of them would only begin and end
MANY = 1024


def shard_sum(out, shards, bounds, part):
    """Adds up the shards' gradients, always in the same order.

    out     (P,)           written; of S parts of each tensor only this one
    shards  (S*P,)         read; tensor by tensor, the S copies of a tensor side by side
    bounds  (J+1,)  int64  read; tensor j owns bounds[j]:bounds[j+1] of out
    """
    _shard_sum_kernel.launch(len(bounds) - 1, THREADS, out, shards, bounds, part)


@kernel
def _shard_sum_kernel(out, shards, bounds, part):
    """A block has a tensor."""
    S = len(shards) // len(out)
    low = bounds[cuda.blockIdx.x]
    size = bounds[cuda.blockIdx.x + 1] - low
    for i in range(part * size // S + cuda.threadIdx.x, (part + 1) * size // S, THREADS):
        total = shards[S * low + i]
        for s in range(1, S):
            total += shards[S * low + s * size + i]
        out[low + i] = total


def gradient_norm(norm, grad):
    """norm = sqrt(sum(grad^2))

    norm  (1,)  written
    grad  (P,)  read
    """
    n = min(blocks(len(grad), 4 * THREADS), MANY)
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
    total = _sum_of(values, cuda.shared.array(WARPS, values.dtype))
    if cuda.threadIdx.x == 0:
        root[0] = sqrt(total)


@inlined
def _sum_of(values, shared):
    """The sum of an array, by a single block, in every thread."""
    total = values.dtype.type(0.0)
    for i in range(cuda.threadIdx.x, len(values), THREADS):
        total += values[i]
    return block_sum(total, shared)


def step_record(log, clock, losses, n_targets, norm):
    """Slot clock[0] mod R of the log receives the mean loss and the norm; not finite: clock[1] becomes 1.

    log        (R, 2)       updated
    clock      (2,)  int64  updated; step, and whether the run has stopped
    losses     (N,)         read
    n_targets  (1,)  int64  read
    norm       (1,)         read
    """
    _step_record_kernel.launch(1, THREADS, log, clock, losses, n_targets, norm)


@kernel
def _step_record_kernel(log, clock, losses, n_targets, norm):
    total = _sum_of(losses, cuda.shared.array(WARPS, losses.dtype))
    if cuda.threadIdx.x == 0 and clock[1] == 0:
        loss = total / losses.dtype.type(max(n_targets[0], 1))
        slot = clock[0] % len(log)
        log[slot, 0] = loss
        log[slot, 1] = norm[0]
        if not (isfinite(loss) and isfinite(norm[0])):
            clock[1] = 1


def adam_step(param, m, v, grad, norm, lr, decay, clock, beta1, beta2, eps, clip):
    """One step of Adam with bias correction (Kingma & Ba 2015, algorithm 1) and decoupled weight decay.

        m = beta1 m + (1 - beta1) grad,  v = beta2 v + (1 - beta2) grad^2
        param -= lr * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay * param)

    param, m, v  (P,)         updated; untouched once clock[1] is 1
    grad         (P,)         read; scaled down to the norm `clip` first, unless clip is 0
    norm         (1,)         read; the norm of grad
    lr           (R,)         read; slot clock[0] mod R is this step's learning rate
    decay        (P,)         read; each parameter's weight decay; empty for none
    clock        (2,)  int64  read; the step, from 0, and whether the run has stopped
    """
    real = param.dtype.type
    _adam_step_kernel.launch(
        min(blocks(len(param)), MANY), THREADS, param, m, v, grad, norm, lr, decay, clock,
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
    # 1 - beta^t, where a float32 difference would cancel
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


def clock_advance(clock):
    """The next step, unless the run has stopped.

    clock  (2,)  int64  updated
    """
    _clock_advance_kernel.launch(1, 1, clock)


@kernel
def _clock_advance_kernel(clock):
    if clock[1] == 0:
        clock[0] += 1


def loss_sum(total, counted, losses, n_targets):
    """Adds up a text's loss over its batches.

    total      (1,)  float64  accumulated; float32 would lose the last batches of a long text
    counted    (1,)  int64    accumulated
    losses     (N,)           read
    n_targets  (1,)  int64    read
    """
    _loss_sum_kernel.launch(1, THREADS, total, counted, losses, n_targets)


@kernel
def _loss_sum_kernel(total, counted, losses, n_targets):
    batch = _sum_of(losses, cuda.shared.array(WARPS, losses.dtype))
    if cuda.threadIdx.x == 0:
        total[0] += batch
        counted[0] += n_targets[0]
