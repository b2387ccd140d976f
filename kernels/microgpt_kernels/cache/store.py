"""A store of machine code from any compiler: each piece has a key and is kept in a separate file.

An error in the store never stops a run: one line tells the user, and the kernels are compiled again.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import microgpt_kernels
from microgpt_kernels.cache import folders, private_folder
from microgpt_kernels.cache.reports import tell_once

REMEDY = "set NUMBA_CACHE_DIR to a folder of your own with room for 10 MB"


class Store:
    """Machine code by its key.

    A file is written under another name and then renamed, begins with the SHA-256 of the rest, and holds its
    key. So processes that write at the same time, or die, leave whole files or none, and a damaged file is
    never run.

    versions  of all programs that make the code: the name of the folder depends on them and on the sources
    """

    def __init__(self, *versions: str) -> None:
        self._versions = versions
        self._writable = True

    @functools.cached_property
    def folder(self) -> Path | None:
        """The folder, or None if it cannot be made or trusted."""
        try:
            name = folders.name_for(self._versions)
        except OSError as error:
            sources = Path(microgpt_kernels.__file__).parent
            return self._not_kept(error, error.filename or sources, "make it readable")
        try:
            return folders.prepared(name)
        except OSError as error:
            return self._not_kept(error, error.filename)

    @property
    def is_writable(self) -> bool:
        """Whether code can be kept, as far as is known."""
        return self.folder is not None and self._writable

    def get(self, key: str) -> bytes | None:
        """The machine code that was kept under a key, or None."""
        if self.folder is None:
            return None
        file = self.folder / _name(key)
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.discard(error.strerror or type(error).__name__)
            return None
        digest, body, head = content[:32], content[32:], key.encode()
        if hashlib.sha256(body).digest() != digest:
            self.discard("a checksum is wrong")
            return None
        return body[len(head) :] if body.startswith(head) else None

    def has(self, key: str) -> bool:
        """Whether machine code is kept under a key."""
        return self.folder is not None and (self.folder / _name(key)).exists()

    def put(self, key: str, code: bytes) -> None:
        """Keep machine code under a key, if that is possible."""
        if not self.is_writable:
            return
        body = key.encode() + code
        try:
            private_folder.make(self.folder)  # the folder may have been removed meanwhile
            _write(self.folder / _name(key), hashlib.sha256(body).digest() + body)
        except OSError as error:
            self._not_kept(error, self.folder)

    def discard(self, why: str) -> None:
        """Empty the folder after finding a file that cannot be used, since it is seldom the only one."""
        if self.folder is None:
            return
        try:
            for file in self.folder.iterdir():
                if file.suffix == ".code":
                    file.unlink(missing_ok=True)
        except OSError as error:
            self._not_kept(error, self.folder)
        else:
            tell_once(
                f"{self.folder} held damaged machine code ({why}): it has been emptied, and the kernels are "
                "compiled again"
            )

    def _not_kept(self, error: OSError, where: object, remedy: str = REMEDY) -> None:
        self._writable = False
        tell_once(f"compiled kernels are not kept for the next start: {where}: {error.strerror}; {remedy}")


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32] + ".code"


def _write(path: Path, content: bytes) -> None:
    """Write a file, which then exists as a whole or not at all. Raises OSError."""
    handle, temporary = tempfile.mkstemp(".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        # on Windows a file that is being read cannot be replaced, and need not be
        if not (os.name == "nt" and isinstance(error, PermissionError) and path.exists()):
            raise
