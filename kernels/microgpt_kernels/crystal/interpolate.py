"""Interpolates the model's distribution with another one."""

from math import log

from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.crystal.softmax import softmax_row


@kernel
def interpolate(logits, expected, weight):
    """logits = log((1 - weight) * softmax(logits) + weight * expected).

    logits    (N, V)  updated
    expected  (N, V)  read; each row is a distribution
    """
    N, V = logits.shape
    real = logits.dtype.type
    of_model, of_expected = real(1.0 - weight), real(weight)
    for n in range(N):
        softmax_row(logits, logits, n, real(1.0))
        for v in range(V):
            logits[n, v] = of_model * logits[n, v] + of_expected * expected[n, v]
        # a loop of its own, as the call of a function in the one above would break its vectors up
        for v in range(V):
            logits[n, v] = log(logits[n, v])
