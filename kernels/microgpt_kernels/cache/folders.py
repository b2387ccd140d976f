"""The folders of machine code: one for each version of the kernels' sources and of all that compiles them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from errno import ENOENT
from pathlib import Path

import platformdirs

import microgpt_kernels
from microgpt_kernels.cache import private_folder

# How many folders of other versions are kept, of up to 10 MB each, for a developer who switches between
# versions.
KEPT_FOLDERS = 4
# A file that is still being written after this many seconds belongs to a process that has died.
ABANDONED_SECONDS = 3600.0


def name_for(versions: tuple[str, ...]) -> str:
    """The name of the folder for these sources and versions. Raises OSError where a source cannot be read."""
    pieces = [version.encode() for version in (sys.version, *versions)]
    for name, path in _sources():
        pieces += [name.encode(), path.read_bytes()]
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little") + piece)
    return f"microgpt-{digest.hexdigest()[:16]}"


def _sources() -> Iterator[tuple[str, Path]]:
    """The package's modules. Temporary files of editors are left out: no import can name them."""
    package = Path(microgpt_kernels.__file__).parent
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if all(map(str.isidentifier, parts)) and path.is_file() and not path.name.startswith("flycheck_"):
            yield ".".join(parts), path


def prepared(name: str) -> Path:
    """The folder of this name, made if need be, which only its user may write. Raises OSError."""
    folder = Path(os.path.realpath(_root() / name))
    if private_folder.make(folder):
        _remove_old(folder)
    else:
        _tidy(folder)
    return folder


def _root() -> Path:
    """NUMBA_CACHE_DIR if it is set, else this system's folder for caches. Raises OSError."""
    root = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("microgpt")
    root = os.path.expanduser(root)
    if root.startswith("~"):
        raise FileNotFoundError(ENOENT, "there is no such home folder", root)
    return Path(root)


def _remove_old(new: Path) -> None:
    """Remove the folders of other versions beside a new one, except the few that were used last."""
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
    """Mark a folder as used now, and remove the unfinished files of processes that have died."""
    with suppress(OSError):
        os.utime(folder)
        for file in folder.glob("*.tmp"):
            if time.time() - file.stat().st_mtime > ABANDONED_SECONDS:
                file.unlink(missing_ok=True)
