"""How many threads there are: shards take them, and BLAS keeps to the thread that calls it."""

from threadpoolctl import threadpool_limits

from microgpt_kernels.crystal import threads


def set_threads(n_threads):
    """How many threads may take shards. Raises BackendError where Numba can start none.

    NumPy and SciPy each bring an OpenBLAS with threads of its own. Products this small only lose by them.
    """
    threadpool_limits(limits=1, user_api="blas")
    threads.set_threads(n_threads)
