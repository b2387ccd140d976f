"""Processes to kill and disturb. They are copies of this one with everything imported, so they start fast."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True)
class Outcome:
    """How a process ended."""

    code: int  # negative: the signal that killed it
    stdout: str
    stderr: str
    seconds: float
    grown: int  # bytes of memory at the most, beyond what it began with

    @property
    def one_sentence(self) -> bool:
        """Whether it says what is wrong in one line, or nothing."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("microgpt: ")]
        return "Traceback" not in self.stderr and len(lines) <= 1 and all(len(line) < 1000 for line in lines)


class Child:
    """A process that has begun; `wait` for it, or kill it first."""

    def __init__(self, function: Callable[[], object], stdin: bytes = b"") -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115  (closed by `wait`)
        self._files[0].write(stdin)
        self._files[0].seek(0)
        sys.stdout.flush()
        sys.stderr.flush()
        self._before = _resident()
        self.begun = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _become(function, self._files)

    def wait(self, timeout: float = 60.0) -> Outcome:
        """How it ends; after `timeout` it is killed, which shows as code -9."""
        deadline = self.begun + timeout
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                deadline += timeout
            time.sleep(0.0005)
        seconds = time.monotonic() - self.begun
        grown = max(0, usage.ru_maxrss * 1024 - self._before)
        _, stdout, stderr = map(_read, self._files)
        return Outcome(os.waitstatus_to_exitcode(status), stdout, stderr, seconds, grown)


def _become(function: Callable[[], object], files: list[IO[bytes]]) -> None:
    """Call the function in the child process, and end it with an exit code."""
    code = 70
    try:
        for number, file in enumerate(files):
            os.dup2(file.fileno(), number)
        # what the parent's test runner has put in their place would be written by the parent
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        function()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 71
        os._exit(code)


def program(*arguments: object) -> Callable[[], None]:
    """The program with these arguments, as a function for a child."""

    def run() -> None:
        from microgpt.__main__ import main

        sys.argv = ["microgpt", *map(str, arguments)]
        main()

    return run


def call(function: Callable[[], object], *, timeout: float = 60.0, stdin: bytes = b"") -> Outcome:
    """A child from its beginning to its end."""
    return Child(function, stdin).wait(timeout)


def _resident() -> int:
    """Bytes of memory that this process has at the moment."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    text = file.read().decode(errors="replace")
    file.close()
    return text
