"""Where machine code is kept between runs: in a folder of our own, or nowhere. No compiler is known here.

What lies there is run, so nobody else may have written it. Nothing that goes wrong with it stops a run: one
line says so, and the kernels are compiled again.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from errno import ENOENT
from pathlib import Path

import platformdirs

import microgpt_kernels
from microgpt_kernels import private

# Folders of other versions that are kept, of up to 10 MB each: a developer goes back and forth between some.
KEPT_FOLDERS = 4
# Seconds after which a file that is still being written belongs to a process that has died.
ABANDONED = 3600.0
OWN_FOLDER = "set NUMBA_CACHE_DIR to a folder of your own with room for 10 MB"

_n_compiled = 0
_told: set[str] = set()


def tell(line: str) -> None:
    """Pass a line on to the user. A program with a display of its own puts that in this one's place."""
    print(line, file=sys.stderr)


def _tell_once(line: str) -> None:
    if line not in _told:
        _told.add(line)
        tell(line)


def n_compiled() -> int:
    """How many functions this process had to compile, those that it is compiling now included."""
    return _n_compiled


def count_compiled() -> None:
    """Count a function that is going to be compiled."""
    global _n_compiled
    _n_compiled += 1


class Store:
    """Machine code by its key, in a file each.

    A file is written under another name, begins with the SHA-256 of the rest, and holds its key: processes
    that write at the same time, or die, leave whole files or none, and a damaged one is never run.

    versions  of all that makes the code; with the sources of the kernels they make the name of the folder
    """

    def __init__(self, *versions: str) -> None:
        self._versions = versions
        self._writable = True

    @functools.cached_property
    def folder(self) -> Path | None:
        """The folder, or None where none can be had or trusted."""
        try:
            name = f"microgpt-{_digest(self._versions)}"
        except OSError as error:
            sources = Path(microgpt_kernels.__file__).parent
            return self._not_kept(error, error.filename or sources, "make it readable")
        try:
            folder = Path(os.path.realpath(_root() / name))
            if private.make(folder):
                _remove_old(folder)
            else:
                _tidy(folder)
        except OSError as error:
            return self._not_kept(error, error.filename)
        return folder

    def get(self, key: str) -> bytes | None:
        """What was kept under a key, or None."""
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

    def put(self, key: str, code: bytes) -> None:
        """Keep it, if that can be."""
        if self.folder is None or not self._writable:
            return
        body = key.encode() + code
        try:
            private.make(self.folder)  # it may have been removed meanwhile
            _write(self.folder / _name(key), hashlib.sha256(body).digest() + body)
        except OSError as error:
            self._not_kept(error, self.folder)

    def discard(self, why: str) -> None:
        """Empty the folder, after a file in it that cannot be used: it is seldom the only one."""
        if self.folder is None:
            return
        try:
            for file in self.folder.iterdir():
                if file.suffix == ".code":
                    file.unlink(missing_ok=True)
        except OSError as error:
            self._not_kept(error, self.folder)
        else:
            _tell_once(
                f"{self.folder} held damaged machine code ({why}): it has been emptied, and the kernels are "
                "compiled again"
            )

    def _not_kept(self, error: OSError, where: object, remedy: str = OWN_FOLDER) -> None:
        self._writable = False
        _tell_once(f"compiled kernels are not kept for the next start: {where}: {error.strerror}; {remedy}")


def _root() -> Path:
    """The user's choice, else where caches are kept on this system. Raises OSError."""
    root = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("microgpt")
    root = os.path.expanduser(root)
    if root.startswith("~"):
        raise FileNotFoundError(ENOENT, "there is no such home folder", root)
    return Path(root)


def _digest(versions: tuple[str, ...]) -> str:
    """A name for all that goes into the machine code. Raises OSError where a source cannot be read."""
    pieces = [version.encode() for version in (sys.version, *versions)]
    for name, path in _sources():
        pieces += [name.encode(), path.read_bytes()]
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little") + piece)
    return digest.hexdigest()[:16]


def _sources() -> Iterator[tuple[str, Path]]:
    """The package's modules. Editors' locks and temporaries have names that no import could mean."""
    package = Path(microgpt_kernels.__file__).parent
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if all(map(str.isidentifier, parts)) and path.is_file() and not path.name.startswith("flycheck_"):
            yield ".".join(parts), path


def _remove_old(new: Path) -> None:
    """Of the folders beside a new one, for other versions of the kernels, keep the last few used."""
    with suppress(OSError):
        others = [
            (place.stat().st_mtime, place)
            for place in new.parent.iterdir()
            if re.fullmatch("microgpt-[0-9a-f]{16}", place.name)
            and place != new
            and stat.S_ISDIR(place.lstat().st_mode)
            and place.lstat().st_uid == new.stat().st_uid
        ]
        for _, old in sorted(others, reverse=True)[KEPT_FOLDERS:]:
            shutil.rmtree(old, ignore_errors=True)


def _tidy(folder: Path) -> None:
    """Note that a folder is in use, and remove what dead processes have left there."""
    with suppress(OSError):
        os.utime(folder)
        for file in folder.glob("*.tmp"):
            if time.time() - file.stat().st_mtime > ABANDONED:
                file.unlink(missing_ok=True)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32] + ".code"


def _write(path: Path, content: bytes) -> None:
    """Write a file, which is there whole or not at all. Raises OSError."""
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
