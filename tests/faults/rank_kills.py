"""kill -9 of one of the processes that share a run, at random instants; then the run goes on.

All of them end within seconds, the last checkpoint is whole, and the run comes to what it does undisturbed.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hearing import hear_signals
from mpi_processes import mpiexec, processes_of

from faults.children import call, program
from faults.small import OPTIONS, contents, write_text
from microgpt.checkpoint.saved import STATE_FILE, load_model, load_state

# the program with a checkpoint after each look
SAVING = """
from microgpt.__main__ import main
from microgpt.training import output

output.CHECKPOINT_SECONDS = 0.0
main()
"""
N_RANKS = 3
STEPS = 600
AMID_STEPS = 0.6  # of the kills: after a checkpoint; the others come while the processes begin
MOST_SECONDS = 1.0
WITHIN_SECONDS = 10.0
BEGIN_SECONDS = 120.0


def run(tries: int, seed: int, folder: Path) -> str:
    """Raises AssertionError with the seed of a try that failed; what was done, in a sentence."""
    hear_signals()
    os.chdir(folder)
    write_text(folder)
    (folder / "saving.py").write_text(SAVING)
    rng = random.Random(seed)
    begin = ("text.txt", *OPTIONS, "--batch-size", 6, "--schedule", "constant", "--steps", STEPS, "--out")
    whole = call(program("train", *begin, folder / "whole"), timeout=600)
    assert whole.code == 0, whole.stderr
    killed = n_saved = step = n_runs = 0
    slowest = 0.0
    while killed < tries:
        out = folder / f"run-{n_runs}"
        file = out / STATE_FILE
        n_runs += 1
        code = -1
        while code != 0:
            saved = file.exists()
            words = ("--resume", out) if saved else (*begin, out)
            rank = rng.randrange(N_RANKS) if killed < tries else None
            code, notes, seconds = _run(words, out, rank, rng)
            what = (seed, killed)
            if code == 0:
                break
            killed, slowest = killed + 1, max(slowest, seconds)
            assert seconds < WITHIN_SECONDS, (what, seconds)
            assert "Traceback" not in notes, (what, notes)
            if file.exists():
                n_saved += 1
                before, step = step if saved else 0, load_state(out).step
                assert step >= before, (what, "an older checkpoint")
                shown = load_model(out, last=True)
                assert shown.notes["step"] >= step, (what, "an older model is shown")
                if step == STEPS:  # killed after the last save, it has only its last sample to lose
                    break
        ended, expected = contents(out), contents(folder / "whole")
        if code != 0:
            ended["samples.txt"] = expected["samples.txt"]
        assert ended == expected, (seed, n_runs, "another end")
    return (
        f"{killed:,} kills of one of {N_RANKS} processes, {n_saved:,} of them after a checkpoint; all ended "
        f"within {slowest:.1f} s"
    )


def _run(
    words: tuple[object, ...], out: Path, rank: int | None, rng: random.Random
) -> tuple[int, str, float]:
    """(exit code, standard error, seconds from the kill until no process was left) of a run in `out`.

    rank  which process is killed, unless the run ends before; None for none
    """
    file = out / STATE_FILE
    written = _written(file)
    with subprocess.Popen(
        mpiexec(N_RANKS, sys.executable, "saving.py", "train", *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if rank is not None:
            _wait_until(process, lambda: len(processes_of(out)) == N_RANKS)
            if rng.random() < AMID_STEPS:
                _wait_until(process, lambda: _written(file) != written)
            time.sleep(rng.random() * MOST_SECONDS)
            with contextlib.suppress(KeyError, ProcessLookupError):  # it has ended
                os.kill(processes_of(out)[rank], signal.SIGKILL)
        begun = time.monotonic()
        _, notes = process.communicate(timeout=600)
        while processes_of(out):
            time.sleep(0.01)
        return process.returncode, notes, time.monotonic() - begun


def _wait_until(process: subprocess.Popen[str], true: Callable[[], bool]) -> None:
    """Until it is true, or the process has ended."""
    deadline = time.monotonic() + BEGIN_SECONDS
    while process.poll() is None and not true():
        assert time.monotonic() < deadline, "the processes do not begin"
        time.sleep(0.01)


def _written(file: Path) -> int:
    """When a file was written, in nanoseconds; 0 if there is none."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
