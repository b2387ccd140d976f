"""Ctrl-C and its relatives at random instants, from the first import on, with kernels compiled and not.

One line and exit code 130, no directory that is half made, and a checkpoint that goes on.
"""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from hearing import hear_signals

from faults.small import write_text

PROGRAM = (sys.executable, "-m", "microgpt")
OPTIONS = (
    "--seq-len",
    "16",
    "--d-model",
    "16",
    "--steps",
    "30000",
    "--schedule",
    "constant",  # else the steps could not change when the run is resumed
    "--val-fraction",
    "0.1",
    "--eval-every",
    "500",
)
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE") if hasattr(signal, name)
]
# Python itself takes so long to reach the first line of the program, and until then ends in its own way
STARTING_SECONDS = 0.15
COLD_SECONDS, WARM_SECONDS = 25.0, 4.0
WAIT_SECONDS = 60.0


def run(tries: int, seed: int, folder: Path, cold: float = 0.2) -> str:
    """Raises AssertionError with the seed of a try that failed; what was done, in a sentence.

    cold  the share of the tries that have no kernels compiled
    """
    from microgpt.checkpoint import saved as checkpoint

    hear_signals()
    os.chdir(folder)
    write_text(folder)
    warm = {**os.environ, "XDG_CACHE_HOME": str(folder / "warm")}
    warm.pop("NUMBA_CACHE_DIR", None)
    subprocess.run(
        [*PROGRAM, "train", "text.txt", *OPTIONS, "--steps", "600", "--out", "model"],
        env=warm,
        check=True,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    n_saved = 0
    for n in range(tries):
        rng, out = random.Random(f"{seed} {n}"), folder / f"run-{n}"
        number = rng.choice(SIGNALS)
        is_cold = rng.random() < cold
        environment = {**warm, "XDG_CACHE_HOME": str(folder / f"cold-{n}")} if is_cold else warm
        arguments = rng.choice(
            (
                ("train", "text.txt", *OPTIONS, "--out", str(out)),
                ("train", "text.txt", *OPTIONS, "--out", str(out)),
                ("generate", "model", "--length", "3000000"),
                ("eval", "model", "text.txt"),
            )
        )
        seconds = STARTING_SECONDS + rng.random() * (COLD_SECONDS if is_cold else WARM_SECONDS)
        what = (
            seed,
            n,
            number.name,
            shlex.join(arguments),
            f"{seconds:.2f} s",
            "cold" if is_cold else "warm",
        )
        code, notes, waited = _interrupted(arguments, environment, number, seconds)
        assert "Traceback" not in notes, (what, notes)
        assert len([line for line in notes.splitlines() if line.startswith("microgpt: ")]) <= 1, (what, notes)
        if number != signal.SIGPIPE:
            assert code in (0, 130), (what, code, notes)
            assert waited < 10, (what, waited)
        else:
            assert code in (0, 130), (what, code, notes)  # nobody is at the other end of nothing
        if (out / checkpoint.STATE_FILE).exists():
            n_saved += 1
            step = checkpoint.load_state(out).step
            command = [*PROGRAM, "train", "--resume", str(out), "--steps", str(step + 1)]
            again = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert again.returncode == 0, (what, again.stderr)
        else:
            assert not out.exists(), (what, [path.name for path in out.iterdir()])
        for path in (out, folder / f"cold-{n}"):
            shutil.rmtree(path, ignore_errors=True)
    return f"{tries:,} signals, {n_saved:,} of them to runs that had something to save"


def _interrupted(
    arguments: tuple[str, ...], environment: dict[str, str], number: signal.Signals, seconds: float
) -> tuple[int, str, float]:
    """(exit code, standard error, seconds from the signal to the end)."""
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        begun = time.monotonic()
        if number == signal.SIGPIPE:
            process.send_signal(signal.SIGINT)  # it does nothing, and the run would go on
        try:
            _, notes = process.communicate(timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            _, notes = process.communicate()
        return process.returncode, notes, time.monotonic() - begun
