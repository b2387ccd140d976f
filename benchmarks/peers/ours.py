"""This project's program: any number of steps is one call of compiled code."""

from __future__ import annotations

import numpy as np

from microgpt.arrays import Array
from microgpt.machine.backends import load_backend
from microgpt.machine.budget import Budget
from microgpt.model.placed import place
from microgpt.training.trainer import LOG_SLOTS, Trainer

from .problem import Problem
from .systems import AdamState, Program


def program(problem: Problem, threads: int, backend: str) -> Program:
    k = load_backend(backend)
    k.set_threads(min(threads, problem.config.n_shards(k.max_shards())))
    trainer = Trainer(place(k, problem.architecture, Budget(None)), problem.config, problem.ids)

    def advance(n: int) -> Array:
        parts = [min(LOG_SLOTS, n - done) for done in range(0, n, LOG_SLOTS)]
        return np.concatenate([trainer.advance(part).loss for part in parts])

    def state() -> AdamState:
        return AdamState(*(trainer.host(name).copy() for name in AdamState._fields))

    return Program(advance, state)
