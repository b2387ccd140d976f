"""NUMBA_NUM_THREADS, which Numba reads when it is imported, with an unclear error if it is wrong."""

from __future__ import annotations

import os

from microgpt_kernels.errors import BackendError


def check(backend: str) -> None:
    """Raises BackendError where NUMBA_NUM_THREADS is not a number of threads."""
    value = os.environ.get("NUMBA_NUM_THREADS", "1")
    try:
        right = int(value) >= 1
    except ValueError:
        right = False
    if not right:
        raise BackendError(
            f"NUMBA_NUM_THREADS is {value!r}; set it to a number of threads, 1 or more, or unset it"
        )
