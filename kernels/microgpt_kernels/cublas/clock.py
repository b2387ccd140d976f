"""The clock of a run, which counts its steps and stops it, and the log of these steps."""

from math import isfinite

from numba import cuda

from microgpt_kernels.cublas.block import THREADS, WARPS, array_sum
from microgpt_kernels.cublas.jit import kernel


def step_record(log, clock, losses, n_targets, norm):
    """Slot clock[0] mod R of the log receives mean loss and norm. If one is not finite, the run stops.

    log        (R, 2)       updated
    clock      (2,)  int64  updated; the step, and 1 in clock[1] once the run has stopped
    losses     (N,)         read
    n_targets  (1,)  int64  read
    norm       (1,)         read
    """
    _step_record_kernel.launch(1, THREADS, log, clock, losses, n_targets, norm)


@kernel
def _step_record_kernel(log, clock, losses, n_targets, norm):
    total = array_sum(losses, cuda.shared.array(WARPS, losses.dtype))
    if cuda.threadIdx.x == 0 and clock[1] == 0:
        loss = total / losses.dtype.type(max(n_targets[0], 1))
        slot = clock[0] % len(log)
        log[slot, 0] = loss
        log[slot, 1] = norm[0]
        if not (isfinite(loss) and isfinite(norm[0])):
            clock[1] = 1


def clock_advance(clock):
    """Counts a step, unless the run has stopped.

    clock  (2,)  int64  updated
    """
    _clock_advance_kernel.launch(1, 1, clock)


@kernel
def _clock_advance_kernel(clock):
    if clock[1] == 0:
        clock[0] += 1
