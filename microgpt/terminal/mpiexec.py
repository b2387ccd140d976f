"""What mpiexec tells each process that it starts, in the environment."""

from __future__ import annotations

import os

# by MPICH and Intel MPI, and by Open MPI
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK")


def n_ranks() -> int:
    """How many processes mpiexec has started, or 1 without one."""
    return _largest(SIZES, 1)


def rank() -> int:
    """The number of this process among them, from 0 on."""
    return _largest(RANKS, 0)


def _largest(names: tuple[str, ...], least: int) -> int:
    found = (os.environ.get(name, "") for name in names)
    return max([least, *(int(value) for value in found if value.isdecimal())])
