"""How many threads there are, and what each of them takes: whole shards of the batch."""

import os

import numba
from numba import prange

from microgpt_kernels.errors import BackendError

# Threads wait for each other three times a step, and by default they spin meanwhile: where other programs
# want the cores as well, two threads are then a tenth as fast as one. A thousand turns are enough on an idle
# machine (docs/trust.md). OpenMP reads this when Numba starts its first threads, and the user's own setting
# comes first.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

shards = prange


def max_shards():
    """The number of cores of a small machine."""
    return 4


def set_threads(n_threads):
    """How many threads may take shards. Raises BackendError where Numba can start none."""
    try:
        numba.set_num_threads(n_threads)
    except ValueError as error:  # NUMBA_THREADING_LAYER names one that is not there, mostly
        raise BackendError(f"Numba can start no threads: {str(error).splitlines()[0]}") from None
