"""Interpolates the model's distribution with another one."""

from math import exp, inf, log

from microgpt_kernels.cublas.block import THREADS, WARP, WARPS, blocks, lane, warp_max, warp_row, warp_sum
from microgpt_kernels.cublas.jit import kernel


def interpolate(logits, expected, weight):
    """logits = log((1 - weight) * softmax(logits) + weight * expected).

    logits    (N, V)  updated
    expected  (N, V)  read; each row is a distribution
    """
    real = logits.dtype.type
    _interpolate_kernel.launch(
        blocks(len(logits), WARPS), THREADS, logits, expected, real(1.0 - weight), real(weight)
    )


@kernel
def _interpolate_kernel(logits, expected, of_model, of_expected):
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
    of_model /= warp_sum(total)
    for v in range(lane(), V, WARP):
        p = of_model * exp(logits[n, v] - highest) + of_expected * expected[n, v]
        # Python, which the simulator runs, has no log of 0
        logits[n, v] = real(-inf) if p == 0.0 else log(p)
