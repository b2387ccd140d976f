"""Ctrl-C, SIGTERM and a lost terminal. A signal ends the program at once while there is nothing to lose, and
during training after the current step. A program that has changed its terminal can be suspended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from microgpt.terminal.mpiexec import rank

# SIGHUP: the terminal is gone, as when a connection to another machine breaks. Not every system has it.
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
INTERRUPTED = 130

# Signals within this time count as one: a terminal that is closed sends SIGHUP more than once.
TOGETHER_SECONDS = 0.5

_asked_at: float | None = None
_cleanups: list[Callable[[], None]] = []
_changes: list[tuple[Callable[[], None], Callable[[], None]]] = []
_how_to_go_on = ""


def leave_at_once() -> None:
    """From now on a signal ends the program with one line, whatever code is running.

    A KeyboardInterrupt would be raised in the middle of an import or of a compiler's callback, and end in a
    long traceback, or be swallowed.
    """
    _install(_leave)


def clean_up(function: Callable[[], None]) -> None:
    """Call the function if the program ends by `leave_at_once`, whenever that is."""
    _cleanups.append(function)


@contextlib.contextmanager
def cleaned_up(function: Callable[[], None]) -> Iterator[None]:
    """Call the function if the program ends by `leave_at_once` within this block."""
    clean_up(function)
    try:
        yield
    finally:
        _cleanups.remove(function)


@contextlib.contextmanager
def suspendable(undo: Callable[[], None], again: Callable[[], None]) -> Iterator[None]:
    """What this block has changed of the terminal is undone where a signal ends the program within it.

    So it is where the program is suspended (SIGTSTP, Ctrl-Z); `again` is called when it goes on.
    """
    number = getattr(signal, "SIGTSTP", None)  # Windows has none
    before = signal.SIG_IGN if number is None else signal.getsignal(number)
    with cleaned_up(undo):
        _changes.append((undo, again))
        try:
            if number is not None and before not in (signal.SIG_IGN, None):
                signal.signal(number, _suspend)
            yield
        finally:
            if number is not None and before not in (signal.SIG_IGN, None):
                signal.signal(number, before)
            _changes.pop()


def _suspend(signum: int, frame: FrameType | None) -> None:
    for undo, _ in reversed(_changes):
        undo()
    signal.signal(signum, signal.SIG_DFL)
    signal.raise_signal(signum)  # returns when the shell lets the program go on, or at once where none could
    signal.signal(signum, _suspend)
    for _, again in _changes:
        again()


@contextlib.contextmanager
def going_on_by(command: str) -> Iterator[None]:
    """Say how to go on if the program ends by `leave_at_once` within this block."""
    global _how_to_go_on
    _how_to_go_on = f"; to go on: {command}"
    try:
        yield
    finally:
        _how_to_go_on = ""


@contextlib.contextmanager
def finishing_the_step() -> Iterator[Callable[[], bool]]:
    """Let a signal wait for the end of a step; yields a function that tells whether there was one.

    A second Ctrl-C does what the first one would have done before this block. In a notebook, or another
    program that has not called `leave_at_once`, only Ctrl-C waits, and in a thread other than the main one
    nothing does: signals stay what they are there.
    """
    global _asked_at

    def hear(signum: int, frame: FrameType | None) -> None:
        if _asked_at is None:
            ask()
        elif signum == signal.SIGINT and time.monotonic() > _asked_at + TOGETHER_SECONDS:
            before[signum](signum, frame)

    _asked_at = None
    before = _install(hear, where=lambda number, handler: handler is _leave or _is_ctrl_c(number, handler))
    try:
        yield is_asked
    finally:
        _asked_at = None
        for number, handler in before.items():
            signal.signal(number, handler)


def ask() -> None:
    """End the step in `finishing_the_step`, in any thread, as Ctrl-C does in the main one."""
    global _asked_at
    _asked_at = time.monotonic()


def is_asked() -> bool:
    """Whether a signal waits for the end of a step."""
    return _asked_at is not None


def ignore() -> None:
    """From now on signals do nothing: everything is done, and Python is about to end."""
    _install(signal.SIG_IGN)


def _is_ctrl_c(number: int, handler: Any) -> bool:
    """Whether Python hears Ctrl-C by this handler."""
    return number == signal.SIGINT and handler is not signal.SIG_DFL


def _install(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers,
    where: Callable[[int, Any], bool] = lambda number, handler: True,
) -> dict[int, Any]:
    """Install a handler in place of those for which `where` says so; returns these.

    A signal that was ignored when the program was started (`nohup`) stays ignored. Only the main thread can
    do this; in others nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    kept = (signal.SIG_IGN, None)
    return {
        number: signal.signal(number, handler)
        for number, before in handlers.items()
        if before not in kept and where(number, before)
    }


def _leave(signum: int, frame: FrameType | None) -> None:
    for function in reversed(_cleanups):
        with contextlib.suppress(Exception):
            function()
    with contextlib.suppress(Exception):  # it may be in the middle of a write
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        # mpiexec tells all of its processes of Ctrl-C, and one says so
        if rank() == 0 and (
            os.name == "nt" or select.select([], [2], [], 0)[1]
        ):  # else it would wait for a reader
            os.write(2, f"microgpt: interrupted{_how_to_go_on}\n".encode(errors="backslashreplace"))
    os._exit(INTERRUPTED)  # threads that compile would keep the interpreter from ending
