"""A disk that is full at some write: the checkpoint that was there stays whole, and the run says why."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

from hearing import hear_signals

from faults.children import call, program
from faults.small import OPTIONS, WEIGHTS, contents, write_text

# bytes: what the program says goes into a file, too
SMALLEST = 4096
REASONS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def run(tries: int, seed: int, folder: Path) -> str:
    """Raises AssertionError with the seed of a try that failed; what was done, in a sentence."""
    from microgpt.checkpoint import saved as checkpoint
    from microgpt.training import output

    hear_signals()
    output.CHECKPOINT_SECONDS = 0.0
    os.chdir(folder)
    write_text(folder)
    begin = ("train", "text.txt", *OPTIONS, "--out")
    assert call(program(*begin, "whole")).code == 0
    expected = contents(folder / "whole")
    largest = max((folder / "whole" / name).stat().st_size for name in WEIGHTS)
    failed = 0
    for n in range(tries):
        rng, out = random.Random(f"{seed} {n}"), folder / f"run-{n}"
        # a run that is some way through, whose disk then fills up
        stopped = call(_stopped_after(program(*begin, out), rng.randint(1, 50)))
        assert stopped.code == 130, (seed, n, stopped)
        before = checkpoint.load_state(out).step
        if rng.random() < 0.5:
            fault = _no_file_larger_than(rng.randrange(SMALLEST, largest))
        else:
            fault = _failing(rng.choice(("fsync", "replace")), rng.randrange(40), rng.choice(REASONS))
        outcome = call(lambda: (fault(), program("train", "--resume", out)()))  # noqa: B023
        assert outcome.code in (0, 1, 4), (seed, n, outcome)
        assert "Traceback" not in outcome.stderr, (seed, n, outcome.stderr)
        assert outcome.code == 0 or "cannot write" in outcome.stderr, (seed, n, outcome.stderr)
        failed += outcome.code != 0
        assert checkpoint.load_state(out).step >= before, (seed, n)
        # when there is room again
        if outcome.code == 1:
            outcome = call(program("train", "--resume", out))
            assert outcome.code in (0, 1), (seed, n, outcome)
        ended = checkpoint.load_state(out)
        assert ended.step == 60, (seed, n)
        now = {name: (out / name).read_bytes() for name in ("model.safetensors",)}
        assert all(now[name] == expected[name] for name in now), (seed, n)
        shutil.rmtree(out)
    return f"{tries:,} runs, of which {failed:,} could not write something and said so"


def _stopped_after(function: Callable[[], None], steps: int) -> Callable[[], None]:
    """Call the program, with Ctrl-C after a number of steps."""

    def run() -> None:
        import signal

        from microgpt.training.trainer import Trainer

        advance = Trainer.advance

        def watched(self: Trainer, n: int) -> object:
            losses = advance(self, min(n, max(1, steps - self.step)))
            if self.step >= steps:
                signal.raise_signal(signal.SIGINT)
            return losses

        Trainer.advance = watched  # type: ignore[method-assign,assignment]
        function()

    return run


def _no_file_larger_than(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _failing(name: str, after: int, reason: int) -> Callable[[], None]:
    """A function of `os` that fails from its n-th call on, for a while."""

    def begin() -> None:
        function, calls = getattr(os, name), 0

        def failing(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if after < calls <= after + 6:
                raise OSError(reason, os.strerror(reason))
            return function(*arguments, **options)

        setattr(os, name, failing)

    return begin
