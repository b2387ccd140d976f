"""One place that decides how many threads there are: shards take them, BLAS keeps to its caller's."""

from threadpoolctl import threadpool_limits

from microgpt_kernels.crystal.jit import set_threads as set_shard_threads


def set_threads(n_threads):
    """How many threads may take shards.

    NumPy and SciPy bring an OpenBLAS with a thread pool each; products this small only lose to them.
    """
    threadpool_limits(limits=1, user_api="blas")
    set_shard_threads(n_threads)
