"""The loss: softmax and cross-entropy in one kernel, in nats."""

from math import exp, inf, log

from microgpt_kernels.cublas.block import THREADS, WARP, WARPS, blocks, lane, warp_max, warp_row, warp_sum
from microgpt_kernels.cublas.jit import kernel


def cross_entropy_forward(losses, probs, logits, targets):
    """losses = -log softmax(logits)[target], and 0 where the target is -1.

    losses   (N,)          written
    probs    (N, V)        written; softmax(logits), saved for the backward pass
    logits   (N, V)        read
    targets  (N,)   int32  read
    """
    _cross_entropy_forward_kernel.launch(blocks(len(losses), WARPS), THREADS, losses, probs, logits, targets)


@kernel
def _cross_entropy_forward_kernel(losses, probs, logits, targets):
    """Each warp computes one row."""
    N, V = logits.shape
    real = logits.dtype.type
    n = warp_row()
    if n >= N:
        return
    highest = real(-inf)
    for v in range(lane(), V, WARP):
        highest = logits[n, v] if logits[n, v] > highest else highest
    highest = warp_max(highest)
    total = real(0.0)
    for v in range(lane(), V, WARP):
        total += exp(logits[n, v] - highest)
    total = warp_sum(total)
    for v in range(lane(), V, WARP):
        probs[n, v] = exp(logits[n, v] - highest) / total
    if lane() == 0:
        target = targets[n]
        losses[n] = log(total) - (logits[n, target] - highest) if target >= 0 else real(0.0)


def cross_entropy_backward(dlogits, probs, targets, n_targets):
    """dlogits = (probs - 1[target]) / n_targets, and 0 where the target is -1.

    dlogits    (N, V)         written; may share memory with probs
    probs      (N, V)         read; as saved by the forward pass
    targets    (N,)    int32  read
    n_targets  (1,)    int64  read
    """
    _cross_entropy_backward_kernel.launch(
        blocks(len(probs), WARPS), THREADS, dlogits, probs, targets, n_targets
    )


@kernel
def _cross_entropy_backward_kernel(dlogits, probs, targets, n_targets):
    """Each warp computes one row."""
    N, V = probs.shape
    real = probs.dtype.type
    n = warp_row()
    if n < N:
        target = targets[n]
        scale = real(1.0) / real(max(n_targets[0], 1)) if target >= 0 else real(0.0)
        for v in range(lane(), V, WARP):
            hit = real(1.0) if v == target else real(0.0)
            dlogits[n, v] = (probs[n, v] - hit) * scale
