"""`microgpt race`: from its words to its report."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from microgpt.errors import MicrogptError, UsageError, shown_path
from microgpt.files import write_atomically
from microgpt.race import show
from microgpt.race.plan import Plan, differences, read, to_toml
from microgpt.race.race import PLAN_FILE, Race, load_speeds, save_speeds, settled, timed
from microgpt.race.results import RESULTS_FILE, Results
from microgpt.race.runs import entries
from microgpt.race.show import Scoreboard
from microgpt.race.words import plan_from, texts_and_options
from microgpt.race.workers import Workers, mpi_ranks, processes
from microgpt.terminal.interruption import going_on_by
from microgpt.terminal.invocation import pasteable
from microgpt.terminal.mpiexec import n_ranks
from microgpt.training.directory import LOCK_FILE, claim, reopen

# turns in which the entrants are timed; fewer where only an estimate is wanted
TURNS, DRY_TURNS = 25, 3


def race(
    words: Sequence[str],
    across: Sequence[str],
    settings: Mapping[str, Any],
    *,
    n_processes: int | None,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
) -> bool:
    """Hold a race, or go on with one; returns whether it has come to its end.

    words  texts and options of `microgpt train`; or a plan, a file that ends in .toml; or a race's directory
    """
    with _workers(n_processes) as workers:
        if workers is None:  # a process of mpiexec that has done what the first one asked for
            return True
        board = Scoreboard(as_json=as_json)
        plan, directory = _planned(words, across, settings)
        if dry_run:
            path, plan = _place(plan, out or directory)
            timings = timed(plan, workers, board, DRY_TURNS, load_speeds(path, plan))
            race = Race(path, plan, Results(path), timings, entries(plan))
            show.estimate(race, workers.number, as_json=as_json)
            return True
        return _hold(plan, out or directory, workers, board)


def _hold(plan: Plan, out: Path | None, workers: Workers, board: Scoreboard) -> bool:
    path, plan = _place(plan, out)
    directory = reopen(path, PLAN_FILE) if (path / PLAN_FILE).exists() else claim(str(path), path)
    try:
        _keep(directory.path, plan)
        with going_on_by(pasteable("race", directory.path)):
            return _go(plan, directory.path, workers, board)
    finally:
        board.close()
        directory.discard()  # only where not even the plan is in it
        directory.release()


def opened(directory: Path) -> Race:
    """The race in a directory, as it stands. Raises MicrogptError."""
    plan = _with_facts(read(directory / PLAN_FILE), directory)
    return Race(directory, plan, Results(directory), load_speeds(directory, plan), entries(plan))


def _go(plan: Plan, directory: Path, workers: Workers, board: Scoreboard) -> bool:
    race = Race(directory, plan, Results(directory), load_speeds(directory, plan), entries(plan))
    if not race.is_timed or race.due():
        settled(plan)  # every text is there, and the one of the plan
        race.timings = timed(plan, workers, board, TURNS, race.timings)
        save_speeds(directory, plan, race.timings)
    else:
        for name in _changed(plan):
            board.note(f"{name} has changed since: these are the results of the text that it was")
    board.started(race)
    done = race.go(workers, board)
    board.finished(race, earlier_plans(directory), done=done)
    return done


@contextmanager
def _workers(n_processes: int | None) -> Iterator[Workers | None]:
    if n_ranks() > 1:
        if n_processes is not None:
            raise UsageError("mpiexec says how many processes there are: leave --processes away")
        with mpi_ranks() as workers:
            yield workers
    else:
        with processes(n_processes) as workers:
            yield workers


def _planned(
    words: Sequence[str], across: Sequence[str], settings: Mapping[str, Any]
) -> tuple[Plan, Path | None]:
    """The plan, and the directory of the race if that is what the words name."""
    texts, options = texts_and_options(words)
    if len(texts) == 1 and (texts[0].endswith(".toml") or Path(texts[0]).is_dir()):
        if options or across or settings:
            raise UsageError(
                "a plan says all that a race needs: leave other options away, or change the plan"
            )
        path = Path(texts[0])
        if path.is_dir():
            if not (path / PLAN_FILE).exists():
                raise MicrogptError(f"{shown_path(path)} holds no race: there is no {PLAN_FILE} in it")
            return read(path / PLAN_FILE), path
        begun = path.name == PLAN_FILE and (path.parent / RESULTS_FILE).exists()
        return read(path), path.parent if begun else Path("races") / path.stem
    for text in texts:
        if not Path(text).exists():
            raise MicrogptError(f"there is no text, plan or race {shown_path(text)}")
    return plan_from(texts, options, across, settings), None


def _place(plan: Plan, out: Path | None) -> tuple[Path, Plan]:
    """The race's directory, and its plan with the facts of the texts; one that holds the same race is gone on
    with.

    Raises MicrogptError where it holds another one.
    """
    for path in [out] if out is not None else _names(_default(plan)):
        if (path / PLAN_FILE).exists():
            there = read(path / PLAN_FILE)
            if _without_facts(there).digest == _without_facts(plan).digest:
                return path, _with_facts(there, path)
            if out is not None:
                changes = "; ".join(differences(_without_facts(there), _without_facts(plan)))
                raise MicrogptError(
                    f"{shown_path(path)} holds another race ({changes}): name another directory, or change "
                    f"{PLAN_FILE} in it and give that, and the report will say what was changed"
                )
        elif out is not None or not _is_taken(path):
            return path, settled(plan)
    raise AssertionError("there is always another name")


def _without_facts(plan: Plan) -> Plan:
    """The plan as it was before its texts were read."""
    return dataclasses.replace(plan, sha256=(), characters=())


def _with_facts(plan: Plan, directory: Path) -> Plan:
    """The plan with the facts of its texts; where it does not say them, they are those with which the race in
    this directory has begun."""
    if plan.sha256 and plan.characters:
        return plan
    copies = [copy for copy in earlier_plans(directory).values() if copy.texts == plan.texts]
    known = {(copy.sha256, copy.characters) for copy in copies if copy.sha256 and copy.characters}
    if len(known) != 1 or plan.sha256:
        return settled(plan)
    ((sha256, characters),) = known
    return dataclasses.replace(plan, sha256=sha256, characters=characters)


def _changed(plan: Plan) -> Iterator[str]:
    """The texts of a race that are there, and are not what they were."""
    for name, sha256 in zip(plan.texts, plan.sha256, strict=True):
        with contextlib.suppress(OSError), open(name, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                yield name


def _default(plan: Plan) -> Path:
    return Path("races") / (Path(plan.texts[0]).stem or "race")


def _is_taken(path: Path) -> bool:
    """Whether it holds something else than what is left of a race that was killed before it had a plan."""
    return path.exists() and any(entry.name != LOCK_FILE for entry in path.iterdir())


def _names(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.name}-{n}") for n in itertools.count(2))


def _keep(directory: Path, plan: Plan) -> None:
    """Write the plan, and a copy of each one that the race has had, so that a report can say what was
    changed.

    A plan that is there stays as it was written, with its comments; the copy has the facts of the texts, too.
    """
    for path in (directory / PLAN_FILE, directory / f"plan-{plan.digest}.toml"):
        if not path.exists():
            write_atomically(path, to_toml(plan).encode())


def earlier_plans(directory: Path) -> dict[str, Plan]:
    """These copies by their digests."""
    found = {}
    for path in directory.glob("plan-*.toml"):
        with contextlib.suppress(MicrogptError):  # of another version; then the report says it is not known
            plan = read(path)
            found[plan.digest] = plan
    return found
