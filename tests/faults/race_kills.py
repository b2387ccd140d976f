"""kill -9 of the leading process of a race, or of one of its workers, at random instants; then it goes on.

No run may be lost or done twice, and each must come to what it does in a race that nobody disturbs, bit for
bit.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

from racing import begun, found

from faults.children import Child, call, program
from faults.small import write_text

# about 200 runs, each of a few milliseconds
RUNS = {"seeds": 40, "tuning_seeds": 5, "equal_seconds": True, "options": {"steps": 2}}
LEADING = 0.3  # of the kills
SAID = "the processes of the race end before they have done anything"


def run(tries: int, seed: int, folder: Path) -> str:
    """`tries` are kills. Raises AssertionError; what was done, in a sentence."""
    from microgpt.machine.cores import available_cores

    os.chdir(folder)
    text = write_text(folder)
    words = ("--processes", min(2, available_cores()))
    begun(folder / "whole", text, **RUNS)
    whole = call(program("race", "whole", *words), timeout=600)
    assert whole.code == 0, whole.stderr
    expected = found(folder / "whole")
    rng = random.Random(seed)
    leading = workers = races = 0
    while leading + workers < tries:
        out = begun(folder / f"race-{races}", text, **RUNS)
        races += 1
        code = -signal.SIGKILL
        while code != 0:
            child = Child(program("race", out, *words))
            while leading + workers < tries and _is_alive(child.pid):
                time.sleep(rng.random() * whole.seconds / 2)
                victims = [child.pid] if rng.random() < LEADING else _workers_of(child.pid)
                if not victims or not _is_alive(child.pid):
                    continue
                victim = rng.choice(victims)
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:  # it has just been replaced
                    continue
                leading, workers = leading + (victim == child.pid), workers + (victim != child.pid)
                if victim == child.pid:
                    break
            outcome = child.wait(timeout=600)
            code, what = outcome.code, (seed, leading + workers, outcome)
            assert code in (0, 1, -signal.SIGKILL), what
            if code != -signal.SIGKILL:
                assert outcome.one_sentence, what
            assert code != 1 or SAID in outcome.stderr, what
        results = found(out)
        assert results.keys() == expected.keys(), (seed, races, "other runs")
        assert results == expected, (seed, races, "other losses")
        left = [path.name for path in out.iterdir() if path.name.endswith(".tmp")]
        assert not left, (seed, races, left)
        shutil.rmtree(out)
    return (
        f"{leading:,} kills of the leading process and {workers:,} of workers in {races:,} races of "
        f"{len(expected):,} runs"
    )


def _is_alive(pid: int) -> bool:
    """Whether a child process runs; it stays there to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _workers_of(pid: int) -> list[int]:
    """The processes that train for this one."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if b"spawn_main" in command:
            found.append(int(child))
    return found
