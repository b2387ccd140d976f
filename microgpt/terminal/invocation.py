"""Commands for the user to paste, which work as they are printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from microgpt.terminal.mpiexec import n_ranks


def pasteable(*words: object) -> str:
    """A command of this program, quoted for a shell: 'info', 'my run' -> "microgpt info 'my run'"."""
    return shlex.join([*_program(), *map(_word, words)])


def resuming(run: Path, *text: object) -> str:
    """The command that goes on with a run, in as many processes as mpiexec has started."""
    command = pasteable("train", *text, "--resume", run)
    return command if n_ranks() == 1 else f"mpiexec -n {n_ranks()} {command}"


def _word(word: object) -> str:
    """A path that begins with a dash would be taken for an option."""
    return f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)


def _program() -> list[str]:
    """The words that start this program again: its name alone only if a shell finds this program by it."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py" and started.parent.name == "microgpt":
        return [
            Path(sys.executable).name if _is_found(Path(sys.executable)) else sys.executable,
            "-m",
            "microgpt",
        ]
    if started.stem != "microgpt":
        return ["microgpt"]  # within another program, such as a test
    return [started.name if _is_found(started) else str(started)]


def _is_found(program: Path) -> bool:
    """Whether a shell finds this very program by its name."""
    found = shutil.which(program.name)
    return found is not None and os.path.exists(program) and os.path.samefile(found, program)
