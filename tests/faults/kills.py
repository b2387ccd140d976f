"""kill -9 at random instants, and at each thing that a save does to its files; then the run goes on.

Nothing that was saved may be lost, and the end must be that of a run that nobody killed, bit for bit.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from faults.children import Child, call, program
from faults.small import OPTIONS, contents, write_text

# what Python tells of itself, where it changes a file
EVENTS = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir"}
MOST_KILLS = 3


def run(tries: int, seed: int, folder: Path) -> str:
    """Raises AssertionError with the seed of a try that failed; what was done, in a sentence."""
    from microgpt.checkpoint import saved as checkpoint
    from microgpt.training import output

    output.CHECKPOINT_SECONDS = 0.0  # a checkpoint after each look
    os.chdir(folder)
    write_text(folder)
    begin = ("train", "text.txt", *OPTIONS, "--out")
    whole = call(program(*begin, "whole"))
    assert whole.code == 0, whole.stderr
    expected = contents(folder / "whole")
    n_events = _count(program(*begin, "counted"), folder / "counted")
    killed = 0
    for n in range(tries):
        rng, out = random.Random(f"{seed} {n}"), folder / f"run-{n}"
        kills = rng.randint(1, MOST_KILLS)
        while True:
            saved = (out / checkpoint.STATE_FILE).exists()
            if not saved:
                shutil.rmtree(out, ignore_errors=True)
            command = program("train", "--resume", out) if saved else program(*begin, out)
            if kills and rng.random() < 0.5:
                outcome = call(_killed_at(command, out, rng.randrange(n_events)))
            else:
                child = Child(command)
                if kills:
                    time.sleep(rng.random() * whole.seconds)
                    os.kill(child.pid, signal.SIGKILL)
                outcome = child.wait()
            # killed after the last save, it has only its last sample to lose
            if outcome.code == 0 or (
                outcome.code == 1 and "all 60 steps of this run are done" in outcome.stderr
            ):
                break
            assert outcome.code == -signal.SIGKILL, (seed, n, outcome)
            kills, killed = kills - 1, killed + 1
            if saved or (out / checkpoint.STATE_FILE).exists():
                state = checkpoint.load_state(out)
                shown = checkpoint.load_model(out, last=True)
                assert shown.notes["step"] >= state.step, (seed, n, "an older model is shown")
        ended = contents(out)
        if outcome.code == 1:
            ended["samples.txt"] = expected["samples.txt"]
        assert ended == expected, (seed, n, "another end")
        left = [path.name for path in out.iterdir() if path.name.endswith(".tmp")]
        assert not left, (seed, n, left)
        shutil.rmtree(out)
    return f"{killed:,} kills in {tries:,} runs, at random instants and at {n_events} events of files"


def _watched(out: Path, act: Callable[[], None]) -> None:
    """Call `act` before each thing that this process does to a file of a run."""
    place = str(out)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in EVENTS and any(place in str(argument) for argument in arguments[:2]):
            act()

    sys.addaudithook(hook)
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        act()
        fsync(descriptor)

    os.fsync = watched


def _killed_at(function: Callable[[], None], out: Path, number: int) -> Callable[[], None]:
    left = number

    def act() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def run() -> None:
        _watched(out, act)
        function()

    return run


def _count(function: Callable[[], None], out: Path) -> int:
    """How often a whole run does something to its files."""
    tally = out.with_name("tally")

    def run() -> None:
        number = 0

        def act() -> None:
            nonlocal number
            number += 1

        _watched(out, act)
        try:
            function()
        finally:
            tally.write_text(str(number))

    outcome = call(run)
    assert outcome.code == 0, outcome.stderr
    return int(tally.read_text())
