"""The cache of machine code: ten processes on a cold one, kills, damage, no room, other users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# of tests/kernels/test_cache.py: each begins with a cache of its own
TESTS = (
    "at_once or killed or may_die or damaged or cannot_be_loaded or nothing_can_be_kept or can_only_be_read"
)


def run(tries: int, seed: int, folder: Path) -> str:
    """Raises AssertionError; what was done, in a sentence."""
    tests = Path(__file__).parents[1]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(tests / "kernels" / "test_cache.py"),
    ]
    for n in range(tries):
        place = ["--basetemp", str(folder / f"try-{n}"), "-k", TESTS]
        outcome = subprocess.run(
            [*command, *place], cwd=tests.parent, env=os.environ, capture_output=True, text=True
        )
        assert outcome.returncode == 0, (n, outcome.stdout[-5000:])
    return f"{tries:,} times: {outcome.stdout.splitlines()[-1]}"
