"""kill -9 of one of the processes that share a run, at random instants; then the run goes on.

All of them end within seconds, the last checkpoint is whole, and the run comes to what it does undisturbed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from hearing import hear_signals
from mpi_processes import mpiexec, processes_of

from faults.children import call, program
from faults.small import OPTIONS, contents, write_text

# the program with a checkpoint after each look
SAVING = """
from microgpt.__main__ import main
from microgpt.training import output, run

output.CHECKPOINT_SECONDS = run.LOOK_SECONDS = 0.0
main()
"""
N_RANKS = 3
STEPS = 2000
WITHIN_SECONDS = 10.0
BEGIN_SECONDS = 120.0


def run(tries: int, seed: int, folder: Path) -> str:
    """Raises AssertionError with the seed of a try that failed; what was done, in a sentence."""
    from microgpt.checkpoint import saved as checkpoint

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
        n_runs += 1
        code = -1
        while code != 0:
            saved = (out / checkpoint.STATE_FILE).exists()
            words = ("--resume", out) if saved else (*begin, out)
            with subprocess.Popen(
                mpiexec(N_RANKS, sys.executable, "saving.py", "train", *words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                what = (seed, killed)
                if killed < tries:
                    _wait_for_the_processes(process, out)
                    # half of the instants are before the first step
                    time.sleep(rng.random() * rng.choice((1, 6)))
                    ranks = processes_of(out)
                    if ranks:
                        os.kill(ranks[rng.choice(sorted(ranks))], signal.SIGKILL)
                        killed += 1
                begun = time.monotonic()
                _, notes = process.communicate(timeout=600)
                while processes_of(out):
                    time.sleep(0.01)
                seconds = time.monotonic() - begun
                code = process.returncode
            if code == 0:
                break
            slowest = max(slowest, seconds)
            assert seconds < WITHIN_SECONDS, (what, seconds)
            assert "Traceback" not in notes, (what, notes)
            if (out / checkpoint.STATE_FILE).exists():
                n_saved += 1
                before, step = step if saved else 0, checkpoint.load_state(out).step
                assert step >= before, (what, "an older checkpoint")
                shown = checkpoint.load_model(out, last=True)
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


def _wait_for_the_processes(process: subprocess.Popen[str], out: Path) -> None:
    deadline = time.monotonic() + BEGIN_SECONDS
    while len(processes_of(out)) < N_RANKS and process.poll() is None:
        assert time.monotonic() < deadline, "the processes do not begin"
        time.sleep(0.01)
