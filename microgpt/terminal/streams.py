"""Results go to standard output, messages to standard error. Either may be lost at any time: the reader of a
pipe ends, the disk is full, the terminal is gone. Writing then has no effect, and `lost` returns the reason.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import IO, Any, TextIO

from microgpt.terminal import interruption

PIPE_BUFFER = 512  # bytes: a pipe that takes anything takes this much, as POSIX promises
# While a pipe takes nothing, this is how often it is tried again, and a signal noticed.
WAIT_SECONDS = 0.1


class LosableFile(io.FileIO):
    """A file that can be lost: from the first error on, what is written to it is dropped."""

    lost: OSError | None = None

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        # a longer write could wait within the system for a reader, and no signal would be noticed meanwhile
        data = memoryview(data).cast("B")[:PIPE_BUFFER]
        while self.lost is None:
            try:
                if self._takes_some() and (n := super().write(data)) is not None:
                    return n
            except OSError as error:
                self.lost = error
            else:
                if interruption.is_asked():
                    self.lost = OSError(errno.EPIPE, "nobody reads it")
        return len(data)

    def _takes_some(self) -> bool:
        if os.name == "nt":
            return True
        return bool(select.select([], [self], [], WAIT_SECONDS)[1])


def prepare() -> None:
    """Replace the standard streams of this process, so that losing them does not end the program.

    A stream that was closed when the program was started goes to the null device; otherwise the next file to
    be opened would take its place. Characters that the encoding lacks are written as escapes, and line ends
    are left as they are, so that a generated text is the same bytes on every system.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _losable(sys.stdout, 1)
    sys.stderr = _losable(sys.stderr, 2)


def lost(stream: TextIO | None) -> OSError | None:
    """The error by which a stream of `prepare` was lost; None while it works."""
    raw = _raw(stream)
    return raw.lost if isinstance(raw, LosableFile) else None


def finish(code: int) -> int:
    """Write what is still in the buffers; returns the exit code for a program that would end with `code`.

    A pipe that its reader has closed is no failure: the reader has seen enough. Any other loss of standard
    output is one.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if _escaped:
        sys.stderr.write(
            f"microgpt: standard output is in {sys.stdout.encoding}: characters that it lacks are written as "
            "escapes; with PYTHONUTF8=1 it is in UTF-8\n"
        )
    error = lost(sys.stdout)
    if code == 0 and error is not None and not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"microgpt: standard output: {error.strerror or error}\n")
        return 1
    return code


_escaped = False


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace what an encoding lacks by escapes; `finish` says once that there were some."""
    global _escaped
    _escaped = True
    return codecs.backslashreplace_errors(error)


def _raw(stream: TextIO | None) -> object:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is nothing in between


def _losable(stream: TextIO | None, number: int) -> IO[str]:
    if stream is not None and not isinstance(_raw(stream), io.FileIO):
        return stream  # a Windows console, which Python handles itself
    codecs.register_error("microgpt", _escape)
    return io.TextIOWrapper(
        io.BufferedWriter(LosableFile(number, "wb", closefd=False)),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="microgpt" if number == 1 else "backslashreplace",
        newline="\n",
        line_buffering=number == 2 or os.isatty(number),
        write_through=getattr(stream, "write_through", False),
    )
