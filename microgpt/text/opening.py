"""Opening a text: a file, standard input, or bytes in memory; whatever can go wrong is one clear sentence."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from microgpt.errors import MicrogptError, shown_path
from microgpt.machine.budget import Budget
from microgpt.text.spool import Spool, standard_input

STANDARD_INPUT = Path("-")
# what stands in place of a path where a run's text was in memory
IN_MEMORY = Path("<text>")

# a file, standard input, or the UTF-8 bytes of a text in memory
Source = Path | bytes


def text_name(source: str | Source) -> str:
    """A text as messages name it: its path in printable characters, or words for a text without one."""
    path = IN_MEMORY if isinstance(source, bytes) else Path(source)
    return {STANDARD_INPUT: "standard input", IN_MEMORY: "the text"}.get(path, shown_path(path))


def in_memory(text: str) -> bytes:
    """The UTF-8 bytes of a text. Raises MicrogptError for a lone surrogate, which UTF-8 has no bytes for."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MicrogptError(
            f"the text has {text[error.start]!r} at character {error.start + 1}, half of a surrogate pair, "
            "which is no character; text.encode('utf-8', 'ignore').decode() leaves such out"
        ) from None


class Readable(Protocol):
    """A file, as far as it is needed here."""

    def read(self, n: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...


def open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except ValueError as error:  # a null character, or one that no file name of this machine can have
        raise MicrogptError(f"{text_name(path)} is not a file name: {error}") from None


@contextmanager
def opened(source: Source, budget: Budget) -> Iterator[Readable]:
    """The text, open for reading; every OSError until it is closed becomes one clear sentence."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    path, name = source, text_name(source)
    with explained(name):
        if path == STANDARD_INPUT:
            # no character has more than 4 bytes, and each takes at least one byte as an id
            room = None if budget.cap is None else 4 * max(0, budget.cap - budget.held)
            with Spool(standard_input(), room) as spool:
                yield spool
            return
        # a pipe cannot be read twice, and opening one would wait for its writer
        if path.is_dir():
            raise MicrogptError(f"{name} is a directory, not a text file")
        if path.exists() and not path.is_file():
            raise MicrogptError(
                f"{name} is a pipe or a device, not a text file; a pipe can be read as standard input, with -"
            )
        with open_file(path) as file:
            yield file


@contextmanager
def explained(name: str) -> Iterator[None]:
    """What can go wrong while a file is opened or read, as one clear sentence."""
    try:
        yield
    except FileNotFoundError:
        raise MicrogptError(f"there is no file {name}") from None
    except PermissionError:
        raise MicrogptError(f"{name} cannot be read: permission denied") from None
    except OSError as error:
        raise MicrogptError(f"{name} cannot be read: {error.strerror or error}") from None
