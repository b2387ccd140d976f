"""Races so small that a run takes a moment, and what tests let the processes of a race do."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from microgpt.files import write_atomically
from microgpt.race.command import opened
from microgpt.race.plan import Plan, to_toml
from microgpt.race.race import PLAN_FILE, save_speeds, settled
from microgpt.race.results import RESULTS_FILE
from microgpt.race.runs import due
from microgpt.race.worker import Timing
from microgpt.race.workers import Workers

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 6
OPTIONS = {
    "backend": "reference",
    "seq_len": 10,
    "batch_size": 2,
    "d_model": 6,
    "n_layers": 1,
    "steps": 3,
}
HEADS = ("1+2+3", "2+2+2")
# the same race as words of the command line
WORDS = (
    *(f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()),
    f"--layouts={','.join(HEADS)}", "--seeds=6", "--tuning-seeds=2", "--rates=3", "--no-equal-seconds",
)  # fmt: skip
PROGRAM = (sys.executable, "-W", "error", "-m", "microgpt", "race")
# the same without figures, which take longer than all the rest
WITHOUT_FIGURES = """
from microgpt.__main__ import main
from microgpt.race import files

if __name__ == "__main__":
    files.find_spec = lambda name: None
    main()
"""
QUICK = (sys.executable, "-W", "error", "-c", WITHOUT_FIGURES, "race")


def plan(text, **changes):
    """The plan of the race of WORDS, settled."""
    values = {
        "texts": (str(text),),
        "seeds": 6,
        "tuning_seeds": 2,
        "rates": 3,
        "equal_seconds": False,
        "options": OPTIONS,
        "entrants": {heads: {"heads": heads} for heads in HEADS},
    }
    values["options"] = {**OPTIONS, **changes.pop("options", {})}
    return settled(Plan(**{**values, **changes}))


def begun(directory, text, **changes):
    """The directory of a race that has timed its entrants, the second of which takes half as long a step."""
    its = plan(text, **changes)
    directory.mkdir()
    write_atomically(directory / PLAN_FILE, to_toml(its).encode())
    timings = {name: Timing(0.001 / i, 1000, 0.001, 1000) for i, name in enumerate(its.entrants, 1)}
    save_speeds(directory, its, {condition.name: timings for condition in its.places()})
    return directory


def hold_at_once(directory):
    """Give every run of a race a made-up loss: the second entrant is better by 0.1 bits, more or less."""
    race = opened(directory)
    race.results.open()
    while runs := due(race.entries, race.results.bits, race.seconds):
        for run in runs:
            bits = 2.0 - 0.1 * HEADS.index(run.entrant) + 0.01 * (run.config.seed % 7) + run.config.rates.lr
            race.results.append(
                {
                    "key": run.key,
                    "plan": race.plan.digest,
                    "condition": run.condition.name,
                    "entrant": run.entrant,
                    "lr": run.config.rates.lr,
                    "seed": run.config.seed,
                    "steps": run.config.steps,
                    "bits": bits + 0.001 * (run.config.seed % 3),
                    "training_nats": 1.0,
                    "problem": None,
                    "seconds": 0.1,
                }
            )


def rows(directory):
    """The lines of a race's results, in their order."""
    return [json.loads(line) for line in (Path(directory) / RESULTS_FILE).read_text().splitlines()]


def found(directory):
    """What each run has come to, by its key; no run is there twice."""
    results = {row["key"]: (row["bits"], row["training_nats"]) for row in rows(directory)}
    assert len(results) == len(rows(directory))
    return results


def threads(number=1):
    """Workers that are threads of this process."""
    return Workers(lambda: ThreadPoolExecutor(number), number)


@contextmanager
def in_threads(n_processes):
    """In place of `microgpt.race.command._workers`."""
    workers = threads()
    yield workers
    workers.cancel()
    workers.close()


class Quiet:
    """A watcher that calls a function after each run that is kept."""

    def __init__(self, after=lambda race, row: None):
        self.finished_a_run = after

    def looked(self, race): ...
    def note(self, text): ...
    def working(self, what, so_far): ...
    def idle(self): ...


def wait_until(true, seconds=60):
    """Look again and again; what `true` returned at last."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.01)
    return value


def until_rows(directory, n):
    """Wait until a race that another process holds has so many results."""
    file = Path(directory) / RESULTS_FILE
    wait_until(lambda: file.exists() and file.read_bytes().count(b"\n") >= n)


@contextmanager
def started(*arguments, command=PROGRAM):
    """The program while it runs, with its output in pipes. At the end it is killed, if it is still there."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | {"text": True}
    with subprocess.Popen([*command, *map(str, arguments)], **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


# --- what the processes of a race are given to do

_locks = []


def hold(file):
    """Lock a file until this process ends; returns its number."""
    import fcntl

    _locks.append(open(file, "a"))  # noqa: SIM115
    fcntl.flock(_locks[-1], fcntl.LOCK_EX)
    print(os.getpid(), file=_locks[-1], flush=True)
    return os.getpid()


def hold_for_ever(file):
    hold(file)
    time.sleep(600)


def is_free(file):
    """Whether no process that is alive has locked the file."""
    import fcntl

    with open(file) as mine:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def die(how_often_and_file):
    """End as where there is no memory; after so many times, return the number of the process."""
    how_often, file = how_often_and_file
    with open(file, "a") as tries:
        tries.write("x")
    if Path(file).stat().st_size <= how_often:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def square(x):
    if x < 0:
        raise ValueError(x)
    return x * x


def bits_of(nats):
    return nats / math.log(2)
