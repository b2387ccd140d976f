"""Writing a file so that a crash at any instant leaves the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from microgpt.errors import MicrogptError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file and make it durable: at any instant the old file is there or the new one, whole.

    Missing directories are made. Raises MicrogptError, and then leaves what was there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise MicrogptError(f"cannot write {path}: {error.strerror or error}") from None
    # the rename itself must survive a power cut; where a directory cannot be synced, nothing more can be done
    with contextlib.suppress(OSError):
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
