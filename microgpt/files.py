"""Writing a file so that a crash at any instant leaves the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microgpt.errors import MicrogptError, shown_path

# NAME is written in a directory .NAME.PID.tmp beside it; version 0.1 wrote a file of that name.
TEMPORARY = re.compile(r"\..+\.(\d{1,9})\.tmp")
# A writer that is alive touches its file more often than this. Later, its number belongs to another process.
ABANDONED_SECONDS = 3600.0


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file and make it durable; as `replacing` does it."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """The path to write the new content to: at any instant the old file is at `path` or the new one, whole.

    durable  whether that also holds for a power cut, after which the file may else be empty; this takes most
             of the time of a small file

    Missing directories are made. A symbolic link stays one, and a file keeps its permissions. What writers
    that were killed have left in the directory is removed. Raises MicrogptError, which names the file, for
    every OSError, also one within the block, and then leaves what was there.
    """
    with _beside(path) as (target, private):
        mode = stat.S_IMODE((target if target.exists() else private).stat().st_mode)
        if not target.exists():
            mode &= 0o666  # a new file is what the umask leaves of this
        private.chmod(0o700)
        temporary = private / target.name
        yield temporary
        if durable:
            _flush(temporary)
        temporary.chmod(mode)
        temporary.replace(target)
    if not durable:
        return
    # the rename itself must survive a power cut; where a directory cannot be synced, nothing more can be done
    with contextlib.suppress(OSError):
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def check_writable(path: Path) -> None:
    """Raise what `replacing` would raise before its block: work of minutes asks before it begins."""
    with _beside(path):
        pass


@contextmanager
def _beside(path: Path) -> Iterator[tuple[Path, Path]]:
    """The file that `path` leads to, and a directory beside it that is there within the block."""
    try:
        if str(path) == "-":
            raise OSError(0, "here it does not stand for standard output; name a file")
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise OSError(0, "Is a directory" if target.is_dir() else "Not a regular file")
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent)
        private = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            private.mkdir()
            yield target, private
        finally:
            shutil.rmtree(private, ignore_errors=True)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise MicrogptError(f"cannot write {shown_path(path)}: {reason}") from None


def _flush(path: Path) -> None:
    # Windows flushes only what is open for writing; elsewhere a file may be one that its owner cannot write
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(directory: Path) -> None:
    """Remove the temporary files of writers that have ended."""
    with os.scandir(directory) as entries:
        found = [(entry, match) for entry in entries if (match := TEMPORARY.fullmatch(entry.name))]
    for entry, match in found:
        with contextlib.suppress(OSError):
            if not _is_running(int(match[1])) or _age(Path(entry)) > ABANDONED_SECONDS:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    os.unlink(entry)


def _is_running(process: int) -> bool:
    # this process writes one file at a time, and asks before it begins
    if process == os.getpid():
        return False
    if os.name != "posix":  # on Windows os.kill would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _age(path: Path) -> float:
    """Seconds since the last of all writes."""
    files = (path, *(path.iterdir() if path.is_dir() else ()))
    return time.time() - float(max(file.lstat().st_mtime for file in files))
