"""Describes what the backend runs with, in one line for `microgpt backends`."""

import numba

from microgpt_kernels.crystal.jit import MACHINE


def describe():
    """The versions of Numba and LLVM, and the processor that they compile for."""
    bits, n_threads = 8 * MACHINE.vector_bytes, numba.config.NUMBA_NUM_THREADS
    threads = f"{n_threads} thread{'s' if n_threads > 1 else ''}"
    return f"Numba {numba.__version__}, {bits}-bit vectors, {threads}"
