"""Texts to train on: the tales and the puzzles that microgpt writes, and tinyshakespeare from the network."""

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from microgpt.errors import MicrogptError, shown_path
from microgpt.files import write_atomically

TALES_SEED = 1
TALES_CHARACTERS = 1_000_000
TALES_SHA256 = "e0c32c7b12bbc77af1a4efa513951ee7371b0914b00b585329a20d06009f46af"

PUZZLES_SEED = 1
PUZZLES_LINES = 300_000
PUZZLES_SHA256 = {
    "nearest": "5f3b7bc1c2acdb52b2aff7083f20af16334d0cde8020e8acd1376de9fd5adc46",
    "retrieval": "3aa3d940b548fb07c08f8534e8d723eb608eb5240634ab1781b04e5af6511954",
    "mixed": "1470225d71bd4e6beba8322c1686ac874cbc2dc5bf7632ecb563134c20486a02",
    "mixed-2": "18e5c0c79ccc6b204633d1297a4d50369d6aaeea45bec11cca0b8b513d39e1d6",
    "mixed-3": "f1102c24942678c1c9ced93f9b1823448cda4addb6d5bf524453aeb4e1d98a9e",
}

SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_BYTES = 1_115_394
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def known_entropy(sha256: str) -> float | None:
    """The entropy rate of the text with this SHA-256 in nats per character, where it is known."""
    # the tales parse their grammar, which most commands do not need
    if sha256 == TALES_SHA256:
        from microgpt.corpora import tales

        return tales.entropy_rate()
    for name, of_puzzles in PUZZLES_SHA256.items():
        if sha256 == of_puzzles:
            from microgpt.corpora import puzzles

            return puzzles.entropy_rate(name)
    return None


def write_tales(path: Path) -> int:
    """Write the tales that ship with microgpt to `path`, unless another text is there: that is an error.

    `-` and /dev/stdout are standard output; a pipe that somebody reads and a device are written to as well.
    Returns the number of bytes of the text.
    """

    def tales() -> str:
        from microgpt.corpora.tales import write

        return write(TALES_CHARACTERS, TALES_SEED)

    return _write_text(path, TALES_SHA256, tales)


def write_puzzles(name: str, path: Path) -> int:
    """Write the puzzles of this name in PUZZLES_SHA256 to `path`.

    Where they are written, and what is returned, is as for `write_tales`.
    """

    def lines() -> str:
        from microgpt.corpora.puzzles import write

        return write(name, PUZZLES_LINES, PUZZLES_SEED)

    return _write_text(path, PUZZLES_SHA256[name], lines)


def download_shakespeare(path: Path, progress: Callable[[int, int], None]) -> int:
    """Download tinyshakespeare to `path`; `progress` is told the bytes so far and the bytes in all.

    Where it is written, and what is returned, is as for `write_tales`.
    """
    if not _is_there(path, SHAKESPEARE_SHA256):
        data = _download(SHAKESPEARE_URL, SHAKESPEARE_BYTES, progress)
        if len(data) != SHAKESPEARE_BYTES or hashlib.sha256(data).hexdigest() != SHAKESPEARE_SHA256:
            raise MicrogptError(
                f"{SHAKESPEARE_URL} sent {len(data):,} bytes that are not tinyshakespeare"
                f" ({SHAKESPEARE_BYTES:,} bytes, checked by SHA-256): nothing was written; try again later"
            )
        _write(path, data)
    return SHAKESPEARE_BYTES


def is_standard_output(path: Path) -> bool:
    """Whether a text that is written to `path` goes to standard output."""
    return str(path) in ("-", "/dev/stdout")


def _write_text(path: Path, sha256: str, text: Callable[[], str]) -> int:
    """Write an ASCII text to `path`, unless it is there already; returns the number of its bytes."""
    if _is_there(path, sha256):
        return path.stat().st_size
    content = text().encode("ascii")
    _write(path, content)
    return len(content)


def _write(path: Path, content: bytes) -> None:
    if is_standard_output(path):
        if sys.stdout is None:
            raise MicrogptError("there is no standard output to write to")
        try:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # a reader that stops reading is no error
            raise
        except OSError as error:
            raise MicrogptError(f"cannot write to standard output: {error.strerror or error}") from None
    elif _is_stream(path):
        try:
            with open(path, "wb", opener=_open_at_once) as file:
                file.write(content)
        except OSError as error:
            reason = "nobody reads this pipe" if error.errno == errno.ENXIO else error.strerror or error
            raise MicrogptError(f"cannot write {shown_path(path)}: {reason}") from None
    else:
        write_atomically(path, content)


def _open_at_once(name: str, flags: int) -> int:
    """Opens for writing; for a pipe that nobody reads this is an error, and not a wait for a reader."""
    descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


def _is_stream(path: Path) -> bool:
    """Whether `path` is a pipe or a device that takes bytes one after another."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _is_there(path: Path, sha256: str) -> bool:
    """Whether `path` holds this text already; an error if it holds anything else that would be lost."""
    if is_standard_output(path) or _is_stream(path):
        return False
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "a block device or a socket"
            raise MicrogptError(f"{shown_path(path)} is {kind}: choose a file with --out")
        if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise MicrogptError(f"cannot read {shown_path(path)}: {error.strerror or error}") from None
    except ValueError as error:
        raise MicrogptError(f"{shown_path(path)} is not a file name: {error}") from None
    raise MicrogptError(
        f"{shown_path(path)} holds another text, which was kept: choose another file with --out"
    )


def _download(url: str, size: int, progress: Callable[[int, int], None]) -> bytes:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    data = bytearray()
    try:
        with urlopen(url, timeout=30) as response:
            # one byte more than expected is enough to know that it is the wrong file
            while len(data) <= size and (chunk := response.read(min(65536, size + 1 - len(data)))):
                data += chunk
                progress(len(data), size)
    except HTTPError as error:
        with error:  # it is the answer of the server, too, and has to be closed
            raise MicrogptError(f"cannot download {url}: {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        raise MicrogptError(f"cannot download {url}: {reason}; is there a network?") from error
    return bytes(data)
