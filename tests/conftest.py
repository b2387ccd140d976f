"""Settings that must be there before Numba is imported."""

import os

cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
if cores == 1:
    # the tests of threads need two of them, if only by turns
    os.environ.setdefault("NUMBA_NUM_THREADS", "2")
