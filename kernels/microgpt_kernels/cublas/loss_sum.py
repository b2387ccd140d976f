"""The loss of a whole text: the sum over its batches."""

from numba import cuda

from microgpt_kernels.cublas.block import THREADS, WARPS, array_sum
from microgpt_kernels.cublas.jit import kernel


def loss_sum(total, counted, losses, n_targets):
    """Adds the losses of a batch, and the number of its targets, to the totals of an evaluation.

    total      (1,)  float64  accumulated; in float32 the last batches of a long text would be rounded away
    counted    (1,)  int64    accumulated
    losses     (N,)           read
    n_targets  (1,)  int64    read
    """
    _loss_sum_kernel.launch(1, THREADS, total, counted, losses, n_targets)


@kernel
def _loss_sum_kernel(total, counted, losses, n_targets):
    batch = array_sum(losses, cuda.shared.array(WARPS, losses.dtype))
    if cuda.threadIdx.x == 0:
        total[0] += batch
        counted[0] += n_targets[0]
