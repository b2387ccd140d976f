"""Settings that must be there before Numba is imported."""

import os

# the test of shards needs two threads, on a machine with one core too
os.environ.setdefault("NUMBA_NUM_THREADS", str(max(2, os.cpu_count() or 1)))
