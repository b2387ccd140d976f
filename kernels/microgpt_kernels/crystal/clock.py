"""The clock of a run, which counts its steps and stops it, and the log of these steps."""

from math import isfinite

from microgpt_kernels.crystal.jit import kernel


@kernel
def step_record(log, clock, losses, n_targets, norm):
    """Writes the mean loss and the norm into slot clock[0] mod R of the log.

    If one of them is not finite, clock[1] becomes 1: the run has stopped.

    log        (R, 2)       updated
    clock      (2,)  int64  updated; the step, and whether the run has stopped
    losses     (N,)         read
    n_targets  (1,)  int64  read
    norm       (1,)         read
    """
    if clock[1] != 0:
        return
    total = losses.dtype.type(0.0)
    for n in range(len(losses)):
        total += losses[n]
    loss = total / losses.dtype.type(max(n_targets[0], 1))
    slot = clock[0] % len(log)
    log[slot, 0] = loss
    log[slot, 1] = norm[0]
    if not (isfinite(loss) and isfinite(norm[0])):
        clock[1] = 1


@kernel
def clock_advance(clock):
    """Counts a step, unless the run has stopped.

    clock  (2,)  int64  updated
    """
    if clock[1] == 0:
        clock[0] += 1
