"""Standard output carries the product, standard error the talk. Either may be lost at any time: a pipe whose
reader leaves, a full disk, a terminal that is gone. Whoever writes goes on, and finds out by asking `lost`.
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

PIPE_BUFFER = 512  # POSIX promises at least that much
# so often a reader who does not read is asked again, and whether the user still wants to wait
WAIT_SECONDS = 0.1


class Audience(io.FileIO):
    """A file that can be lost: from the first error on it takes everything and keeps nothing."""

    lost: OSError | None = None

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        # so much goes into a pipe that takes anything: nobody waits within a write, which hears no signal
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
    """Make the standard streams of this process fit for a program that must not fall with them.

    A stream that whoever started the program has closed is nowhere, instead of the next file to be opened.
    What its encoding cannot express is written as an escape, and line ends are left as they are: what is
    generated is the same bytes on every system.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _audience(sys.stdout, 1)
    sys.stderr = _audience(sys.stderr, 2)


def lost(stream: TextIO | None) -> OSError | None:
    """Why a stream of `prepare` takes nothing any more; None while it does."""
    raw = _raw(stream)
    return raw.lost if isinstance(raw, Audience) else None


def finish(code: int) -> int:
    """Hand over what is still to be written; the exit code of a program that would have left with `code`.

    Whoever closes a pipe has seen enough. Whatever else takes no output makes the program fail.
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
    """What an encoding lacks, as escapes: nobody is told of each, but of the fact."""
    global _escaped
    _escaped = True
    return codecs.backslashreplace_errors(error)


def _raw(stream: TextIO | None) -> object:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is nothing in between


def _audience(stream: TextIO | None, number: int) -> IO[str]:
    if stream is not None and not isinstance(_raw(stream), io.FileIO):
        return stream  # a Windows console, which has ways of its own
    codecs.register_error("microgpt", _escape)
    return io.TextIOWrapper(
        io.BufferedWriter(Audience(number, "wb", closefd=False)),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="microgpt" if number == 1 else "backslashreplace",
        newline="\n",
        line_buffering=number == 2 or os.isatty(number),
        write_through=getattr(stream, "write_through", False),
    )
