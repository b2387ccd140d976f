"""The number of threads. Each thread runs whole parts of the batch."""

import os

import numba

from microgpt_kernels.crystal.recording import recording
from microgpt_kernels.errors import BackendError

# Threads wait for each other three times a step. By default they spin while they wait: if other programs need
# the cores too, two threads are then a tenth as fast as one. A thousand spins are enough on an idle machine
# (docs/trust.md). OpenMP reads this variable when Numba starts its first threads. A value that the user has
# set is not changed.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def shards(n):
    """A range over the parts of a batch. What is done for each becomes a part of a step's recording."""
    recorder = recording()
    if recorder is None:
        yield from range(n)
        return
    with recorder.shared():
        for shard in range(n):
            yield shard
            recorder.part()


def max_shards():
    """Enough for the cores of a large machine."""
    return 64


def set_threads(n_threads):
    """Sets how many threads may run shards. Raises BackendError if Numba cannot start any."""
    try:
        numba.set_num_threads(n_threads)
    except ValueError as error:  # usually NUMBA_THREADING_LAYER names a layer that is not installed
        raise BackendError(f"Numba can start no threads: {str(error).splitlines()[0]}") from None
