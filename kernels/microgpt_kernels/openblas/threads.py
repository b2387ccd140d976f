"""How many threads there are, and whose BLAS it is: shards take the threads, BLAS keeps to its caller's."""

import scipy
from threadpoolctl import threadpool_info, threadpool_limits

from microgpt_kernels.crystal.jit import describe as describe_compiler
from microgpt_kernels.crystal.jit import set_threads as set_shard_threads


def set_threads(n_threads):
    """How many threads may take shards.

    NumPy and SciPy bring an OpenBLAS with a thread pool each; products this small only lose to them.
    """
    threadpool_limits(limits=1, user_api="blas")
    set_shard_threads(n_threads)


def describe():
    """SciPy's BLAS, and what compiles the other kernels."""
    libraries = {f"{x['internal_api']} {x['version']}" for x in threadpool_info() if x["user_api"] == "blas"}
    return f"SciPy {scipy.__version__} with {' and '.join(sorted(libraries))}; {describe_compiler()}"
