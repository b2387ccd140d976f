"""How many threads a run uses, and how many cores this process may use."""

from __future__ import annotations

import os

from microgpt.errors import MicrogptError
from microgpt.terminal.mpiexec import n_ranks

# Floating-point operations of a step below which threads would wait for each other longer than they work: on
# two cores, steps of 4 million were slower on two threads than on one, and those of 22 million faster.
WORTH_SHARING = 10_000_000


def choose_threads(wanted: int | None, flop_per_step: int, n_shards: int) -> int:
    """The wanted number of threads, else all cores if a step is large enough; at the most one for each shard.

    Raises MicrogptError where more are wanted than this process has cores.
    """
    cores = available_cores()
    if wanted is not None and wanted > cores:
        whose = "this machine has" if n_ranks() == 1 else "each process of mpiexec has"
        number = "1 core" if cores == 1 else f"{cores} cores"
        raise MicrogptError(f"--threads {wanted}: {whose} {number} to give")
    worth_it = cores if flop_per_step >= WORTH_SHARING else 1
    return min(wanted or worth_it, n_shards)


def available_cores() -> int:
    """The cores that this process may use: the machine's, less what an affinity or a container's quota takes.

    Where the user has set NUMBA_NUM_THREADS, it is that number.
    """
    number = os.environ.get("NUMBA_NUM_THREADS", "")
    if number.isdecimal() and int(number) > 0:
        return int(number)
    from loky.backend.context import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())
