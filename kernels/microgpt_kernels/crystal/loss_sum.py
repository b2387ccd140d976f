"""The loss of a whole text, summed up batch by batch."""

from microgpt_kernels.crystal.jit import kernel


@kernel
def loss_sum(total, counted, losses, n_targets):
    """Adds the losses of a batch to those of the batches before it, as evaluation does.

    total      (1,)  float64  accumulated; float32 would lose the last batches of a long text
    counted    (1,)  int64    accumulated
    losses     (N,)           read
    n_targets  (1,)  int64    read
    """
    batch = losses.dtype.type(0.0)
    for n in range(len(losses)):
        batch += losses[n]
    total[0] += batch
    counted[0] += n_targets[0]
