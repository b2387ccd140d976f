"""The number of threads: shards run in threads, and each BLAS call stays in the thread that makes it."""

from threadpoolctl import threadpool_limits

from microgpt_kernels.crystal import threads


def set_threads(n_threads):
    """Sets how many threads may run shards. Raises BackendError if Numba cannot start any.

    NumPy and SciPy each include an OpenBLAS with its own threads, which make products this small slower.
    """
    threadpool_limits(limits=1, user_api="blas")
    threads.set_threads(n_threads)
