"""How many threads a run takes, of the cores that this process may use."""

from __future__ import annotations

import os
from types import ModuleType

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.model.architecture import Architecture

# Floating-point operations of a step below which threads would wait for each other longer than they work: on
# two cores, steps of 4 million were slower on two threads than on one, and those of 22 million faster.
WORTH_SHARING = 10_000_000


def choose_threads(k: ModuleType, config: TrainConfig, architecture: Architecture) -> int:
    """As many as asked for, else all cores if the step is worth it; never more than there are shards."""
    cores = available_cores()
    if config.threads is not None and config.threads > cores:
        raise MicrogptError(f"--threads {config.threads}: this machine has {cores} cores to give")
    worth_it = cores if architecture.flop_per_step(config.batch_size) >= WORTH_SHARING else 1
    return min(config.threads or worth_it, config.n_shards(k.max_shards()))


def available_cores() -> int:
    """The cores that this process may use: the machine's, less what an affinity or a container's quota takes.

    NUMBA_NUM_THREADS, where the user has set it, is the user's word.
    """
    said = os.environ.get("NUMBA_NUM_THREADS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    from loky.backend.context import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())
