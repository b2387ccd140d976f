"""Two runs that are started together: never in one directory, never one model lost."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from faults.children import Child, program
from faults.small import OPTIONS, write_text


def run(tries: int, seed: int, folder: Path) -> str:
    """Raises AssertionError with the seed of a try that failed; what was done, in a sentence."""
    from microgpt.checkpoint import saved as checkpoint

    os.chdir(folder)
    write_text(folder)
    losers = 0
    for n in range(tries):
        rng = random.Random(f"{seed} {n}")
        n_writers = rng.randint(2, 5)
        kind = rng.choice(("default", "out", "resume"))
        if kind == "resume":
            first = Child(
                program("train", "text.txt", *OPTIONS, "--schedule", "constant", "--out", "one")
            ).wait()
            assert first.code == 0, first.stderr
            commands = [("train", "--resume", "one", "--steps", 90) for _ in range(n_writers)]
        else:
            out = ("--out", "one") if kind == "out" else ()
            commands = [("train", "text.txt", *OPTIONS, "--seed", i, *out) for i in range(n_writers)]
        outcomes = [child.wait() for child in [Child(program(*command)) for command in commands]]
        what = (seed, n, kind, [outcome.stderr[-300:] for outcome in outcomes])
        assert all("Traceback" not in outcome.stderr for outcome in outcomes), what
        won = [i for i, outcome in enumerate(outcomes) if outcome.code == 0]
        lost = [outcome for outcome in outcomes if outcome.code != 0]
        assert all(outcome.code == 1 and outcome.one_sentence for outcome in lost), what
        losers += len(lost)
        if kind == "default":
            assert len(won) == n_writers, what
            states = [checkpoint.load_state(path) for path in sorted((folder / "runs").iterdir())]
            assert sorted(state.config.seed for state in states) == list(range(n_writers)), what
            assert all(state.step == 60 for state in states), what
        else:
            # a run that is over when the next one begins is not there at the same time
            assert len(won) == 1, what
            state = checkpoint.load_state(folder / "one")
            assert state.step == (90 if kind == "resume" else 60), what
            assert kind == "resume" or state.config.seed == won[0], what
        for name in ("one", "runs"):
            shutil.rmtree(folder / name, ignore_errors=True)
    return f"{tries:,} times two to five writers at once, {losers:,} of which were refused in a sentence"
