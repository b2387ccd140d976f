"""The loss: softmax and cross-entropy in one kernel, in nats."""

from math import log

from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.crystal.softmax import softmax_row


@kernel
def cross_entropy_forward(losses, probs, logits, targets):
    """losses = -log softmax(logits)[target], and 0 where the target is -1.

    losses   (N,)          written
    probs    (N, V)        written; softmax(logits), saved for the backward pass
    logits   (N, V)        read
    targets  (N,)   int32  read
    """
    real = logits.dtype.type
    for n in range(len(logits)):
        highest, total = softmax_row(probs, logits, n, real(1.0))
        target = targets[n]
        losses[n] = log(total) - (logits[n, target] - highest) if target >= 0 else real(0.0)


@kernel
def cross_entropy_backward(dlogits, probs, targets, n_targets):
    """dlogits = (probs - 1[target]) / n_targets, and 0 where the target is -1.

    dlogits    (N, V)         written; may share memory with probs
    probs      (N, V)         read, as written by the forward kernel
    targets    (N,)    int32  read
    n_targets  (1,)    int64  read; counted over the whole batch, while these rows may be only a shard of it
    """
    N, V = probs.shape
    real = probs.dtype.type
    share = real(1.0 / max(n_targets[0], 1))
    for n in range(N):
        target = targets[n]
        scale = share if target >= 0 else real(0.0)
        for v in range(V):
            dlogits[n, v] = probs[n, v] * scale
        if target >= 0:
            dlogits[n, target] -= scale
