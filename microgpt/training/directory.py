"""The directory of a run, made and locked before anything slow begins, so that two runs never share one."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from microgpt.checkpoint.saved import STATE_FILE
from microgpt.errors import MicrogptError, shown_path
from microgpt.files import TEMPORARY, remove_abandoned
from microgpt.training.logs import STARTS_FILE

LOCK_FILE, CONFIG_FILE = ".lock", "config.toml"


class RunDirectory:
    """A directory that this process alone writes, until it releases it or ends.

    path  the directory
    made  the directories that were made for it, the outermost first
    """

    def __init__(self, path: Path, lock: int, made: list[Path]) -> None:
        self.path, self._lock, self._made = path, lock, made

    def release(self) -> None:
        """Let others write into it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def is_still_here(self) -> bool:
        """Whether the directory was neither moved nor removed, nor belongs to another run by now."""
        try:
            return os.path.samestat(os.fstat(self._lock), os.stat(self.path / LOCK_FILE))
        except OSError:
            return False

    def discard(self) -> None:
        """Remove the directories that were made, unless more than what a run begins with is in them."""
        if not self._made:
            return
        with contextlib.suppress(OSError):  # something is in it
            if _is_empty(self.path):
                shutil.rmtree(self.path)
                self._made.pop()
            for path in reversed(self._made):
                path.rmdir()


def claim(out: str | None, default: Path) -> RunDirectory:
    """The directory of a new run: `out`, else `default`, or `default-2` and so on where that is taken.

    The directory of another run is never taken. Raises MicrogptError.
    """
    if out is None:
        names = (str(default) if n == 1 else f"{default}-{n}" for n in itertools.count(1))
        return next(found for name in names if (found := _try_to_claim(Path(name))) is not None)
    path, name = Path(out), shown_path(out)
    with _sentences(path):
        if path.exists() and not path.is_dir():
            raise MicrogptError(f"--out {name} is a file; name a directory")
        claimed = _try_to_claim(path)
        if claimed is None:
            if not path.exists() or _is_empty(path):
                raise _taken(path)
            hint = f"use --resume {name}" if (path / STATE_FILE).exists() else "use an empty one"
            raise MicrogptError(f"--out {name} is not empty; {hint}, or name another directory")
    return claimed


def reopen(run: Path, file: str = STATE_FILE) -> RunDirectory:
    """The directory of a run to resume, which is known by this file. Raises MicrogptError."""
    with _sentences(run):
        if not (run / file).exists() and not (run / LOCK_FILE).exists():
            raise MicrogptError(f"{shown_path(run)} holds no run to go on with: there is no {file} in it")
        directory = _lock(run, [])
    if directory is None:
        raise _taken(run)
    remove_abandoned(run)
    return directory


def is_being_written(path: Path) -> bool:
    """Whether a process holds this directory, as far as that can be seen."""
    if not (path / LOCK_FILE).exists():
        return False
    try:
        directory = _lock(path, [])
    except OSError:  # it belongs to another user
        return False
    if directory is None:
        return True
    directory.release()
    return False


def _try_to_claim(path: Path) -> RunDirectory | None:
    """The directory, or None if another run has used it, or is just about to."""
    with _sentences(path):
        made = [parent for parent in reversed([path, *path.parents]) if not parent.exists()]
        if made:
            path.mkdir(parents=True, exist_ok=True)
        if not path.is_dir() or not _is_empty(path):
            return None
        directory = _lock(path, made)
        if directory is not None and not _is_empty(path):  # a shorter run was here in between
            directory.release()
            return None
    return directory


def _is_empty(path: Path) -> bool:
    """Whether it holds nothing but what a run leaves that was stopped before it had begun."""
    names = {entry.name for entry in path.iterdir()}
    ours = {LOCK_FILE, CONFIG_FILE, STARTS_FILE} if LOCK_FILE in names else set()
    return all(name in ours or (ours and TEMPORARY.fullmatch(name)) for name in names)


def _lock(path: Path, made: list[Path]) -> RunDirectory | None:
    """The directory, with a lock that ends with this process, however it ends; None where another process
    holds it."""
    try:
        file = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError:  # the process that had it before has just removed it
        return None
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    directory = RunDirectory(path, file, made)
    if directory.is_still_here():
        return directory
    directory.release()  # the process that had it before has removed the directory
    return None


def _taken(path: Path) -> MicrogptError:
    return MicrogptError(
        f"another microgpt is writing {shown_path(path)}: wait until it ends, or name another directory with "
        "--out"
    )


@contextlib.contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # a null character is in no file name
        reason = getattr(error, "strerror", None) or error
        raise MicrogptError(f"cannot write {shown_path(path)}: {reason}") from None
