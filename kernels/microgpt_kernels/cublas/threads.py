"""Threads of the host and shards of the batch: a GPU needs one of each, since it is parallel by itself."""

shards = range


def max_shards():
    """One: cutting the batch would only make the work smaller."""
    return 1


def set_threads(n_threads):
    """Does nothing: the host's part of the work is done by one thread."""
