"""A run in several processes: the first one leads it, and the others take the same steps when it says so."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from microgpt import __version__
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.machine.backends import load_backend
from microgpt.machine.budget import Budget
from microgpt.machine.team import END, Team
from microgpt.model.placed import place
from microgpt.model.shards import of_rank
from microgpt.terminal import interruption
from microgpt.terminal.invocation import resuming
from microgpt.text.opening import IN_MEMORY, STANDARD_INPUT, text_name
from microgpt.text.reading import Text, encode_file
from microgpt.text.vocabulary import Vocabulary
from microgpt.text.walk import split
from microgpt.training.replicas import Replicas, trainer_for
from microgpt.training.trainer import Trainer

COMPILED = -1  # the first order, unless it is END: the first process has compiled the step


@dataclass(frozen=True)
class Setup:
    """What the first process tells the others of a run."""

    config: TrainConfig
    vocabulary: str
    sha256: str  # of the text
    versions: str
    step: int


def lead(team: Team, trainer: Trainer | Replicas, config: TrainConfig, text: Text) -> None:
    """Let the other processes begin with what the trainer of this one holds.

    Raises MicrogptError, on all of them, where one has another text or other versions, or too little memory.
    """
    versions_here = versions(trainer.k)
    team.tell(Setup(config, text.vocabulary.characters, text.sha256, versions_here, trainer.step))
    team.agree(None)
    for name in trainer.buffers:
        team.share(trainer.host(name))


def check_shareable(team: Team, k: ModuleType, config: TrainConfig) -> None:
    """Raises MicrogptError for a run that several processes cannot share."""
    if Path(config.file) in (STANDARD_INPUT, IN_MEMORY):
        raise MicrogptError(
            "every process of mpiexec reads the text itself: name a file that all of them have"
        )
    if k.max_shards() == 1:
        raise MicrogptError(
            f"--backend {config.backend} computes a batch in one piece: start it without mpiexec"
        )
    if config.replicas is not None and config.replicas < team.size:
        raise MicrogptError(
            f"mpiexec has started {team.size} processes for {config.replicas} replicas: start at most as many"
        )


def follow(team: Team) -> int:
    """Take part until the first process ends the run; returns the exit code."""
    interruption.ignore()  # mpiexec tells all processes of Ctrl-C, and the first one ends the others
    with team.ending_together():
        return _follow(team)
    raise AssertionError("this process has ended")


def _follow(team: Team) -> int:
    setup = team.tell()
    if setup is None:
        return 0
    try:
        trainer = _prepared(team, setup)
    except MicrogptError:
        return 1  # the first process says why
    for name in trainer.buffers:
        team.share(trainer.host(name))
    trainer.continue_from(setup.step)
    if team.next_order() == END:
        return 0
    trainer.compile()  # what the first process has compiled is in the cache
    while (n := team.next_order()) != END:
        with contextlib.suppress(NotFiniteError):  # the first process has found the same, and ends the run
            trainer.advance(n)
    return 0


def shared_by(team: Team, config: TrainConfig, n_shards: int) -> str:
    """What the processes share, and why not all of them have a part of it."""
    if config.replicas is not None:
        meeting = f"which meet every {config.local_steps:,} steps"
        return f"{team.size} processes share {config.replicas} replicas, {meeting}"
    sizes = [len(of_rank(n_shards, rank, team.size)) for rank in range(team.size)]
    n = sum(map(bool, sizes))
    if n == team.size:
        return f"{team.size} processes share each batch"
    parts = "1 part" if n_shards == 1 else f"{n_shards} parts"
    why = f", and a process takes {sizes[0]} of them, a power of two" if sizes[0] > 1 else ""
    return (
        f"only {n} of {team.size} processes have work: a batch has {parts}{why}; "
        "a larger --batch-size has more parts"
    )


def if_one_is_lost(out: str) -> str:
    """What to do where a process ends unexpectedly: by then none of them can say it."""
    return (
        "if a process is lost, all of them end; the first checkpoint comes after about a minute; to go on "
        f"from the last one: {resuming(Path(out))}"
    )


def versions(k: ModuleType) -> str:
    """All that decides the last digits of a step, apart from its options."""
    backend = re.sub(r", \d+ threads?$", "", k.describe())
    return f"microgpt {__version__}, NumPy {np.__version__}, {backend}"


def _prepared(team: Team, setup: Setup) -> Trainer | Replicas:
    """The trainer of this process, once all agree. Raises MicrogptError."""
    problem, trainer = None, None
    try:
        trainer = _trainer(team, setup)
    except MicrogptError as error:
        problem = str(error)
    team.agree(problem)
    assert trainer is not None
    return trainer


def _trainer(team: Team, setup: Setup) -> Trainer | Replicas:
    config = setup.config
    k = load_backend(config.backend)
    if (here := versions(k)) != setup.versions:
        raise MicrogptError(f"it has {here}, and the first process {setup.versions}")
    budget = Budget(config.memory_cap_bytes)
    text = encode_file(Path(config.file), Vocabulary(setup.vocabulary), budget, skip_unknown=True)
    if text.sha256 != setup.sha256:
        raise MicrogptError(f"it reads another text in {text_name(config.file)}")
    ids, _ = split(text.ids, config.val_fraction)
    trainer = trainer_for(place(k, config.architecture(len(text.vocabulary)), budget), config, ids, team)
    k.set_threads(trainer.n_threads)
    return trainer
