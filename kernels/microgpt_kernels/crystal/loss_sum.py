"""The loss of a whole text: the sum over its batches."""

from microgpt_kernels.crystal.jit import kernel


@kernel
def loss_sum(total, counted, losses, n_targets):
    """Adds the losses of a batch, and the number of its targets, to the totals of an evaluation.

    total      (1,)  float64  accumulated; in float32 the last batches of a long text would be rounded away
    counted    (1,)  int64    accumulated
    losses     (N,)           read
    n_targets  (1,)  int64    read
    """
    batch = losses.dtype.type(0.0)
    for n in range(len(losses)):
        batch += losses[n]
    total[0] += batch
    counted[0] += n_targets[0]
