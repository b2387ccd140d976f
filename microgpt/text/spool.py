"""Standard input, kept in a temporary file so that it can be read twice."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Self

from microgpt.errors import MicrogptError
from microgpt.machine.budget import format_bytes


def standard_input() -> BinaryIO:
    """The bytes of standard input; raises MicrogptError where it is closed."""
    if sys.stdin is None:
        raise MicrogptError("there is no standard input to read")
    return sys.stdin.buffer


def read_from(stream: BinaryIO, n: int, name: str) -> bytes:
    """At most n bytes, and fewer only at the end; raises MicrogptError for a stream that does not wait."""
    content = stream.read(n)
    if content is None:
        raise MicrogptError(f"{name} does not wait for what is to come; save it as a file")
    return content


class Spool:
    """Standard input as a file that can be read again: a temporary file, which has no name, keeps it.

    room  the most bytes that are read, since more would exceed the memory budget; None for no limit
    """

    def __init__(self, stream: BinaryIO, room: int | None) -> None:
        if stream.isatty():
            raise MicrogptError(
                "standard input is the keyboard: send a text, as in `cat FILE | microgpt ...`"
            )
        self._stream: BinaryIO | None = stream
        self._room = room
        with self._explained():
            self._kept = tempfile.TemporaryFile()  # noqa: SIM115  (closed by __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a failed write has been reported already
            self._kept.close()

    def read(self, n: int) -> bytes:
        if self._stream is None:
            return self._kept.read(n)
        block = read_from(self._stream, n, "standard input")
        with self._explained():
            self._kept.write(block)
            self._kept.flush()
        if self._room is not None and self._kept.tell() > self._room:
            raise MicrogptError(
                f"out of memory budget: standard input has more than {format_bytes(self._room)}; "
                "send a part of it, or raise --memory-cap"
            )
        return block

    def seek(self, offset: int) -> int:
        if self._kept.tell():
            self._stream = None
        return self._kept.seek(offset)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MicrogptError(
                f"standard input cannot be kept in a temporary file: {error.strerror or error}; "
                "save it as a file of your own, or set TMPDIR to a directory with more room"
            ) from None
