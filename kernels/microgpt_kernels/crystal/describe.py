"""What the backend runs with, in a line for `microgpt backends`."""

import numba

from microgpt_kernels.crystal.jit import MACHINE


def describe():
    """What compiles the kernels, and for what."""
    bits, n_threads = 8 * MACHINE.vector_bytes, numba.config.NUMBA_NUM_THREADS
    return f"Numba {numba.__version__}, {bits}-bit vectors, {n_threads} threads"
