"""Ctrl-C, SIGTERM and a lost terminal: the program ends at once while there is nothing to lose, and after the
step that it is at when there is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# SIGHUP: the terminal is gone, as when a connection to another machine breaks. Not every system has it.
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
INTERRUPTED = 130

_cleanups: list[Callable[[], None]] = []


def leave_at_once() -> None:
    """From now on a signal ends the program with one line, in whatever code it is.

    A KeyboardInterrupt would come up in the middle of an import or of a compiler's callback, and be a long
    traceback, or be swallowed.
    """
    _install(_leave)


@contextlib.contextmanager
def cleaned_up(function: Callable[[], None]) -> Iterator[None]:
    """Call the function if the program ends by `leave_at_once` within this block."""
    _cleanups.append(function)
    try:
        yield
    finally:
        _cleanups.remove(function)


@contextlib.contextmanager
def finishing_the_step() -> Iterator[Callable[[], bool]]:
    """Let a signal wait for the end of a step; yields whether there was one. A second one does not wait."""
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            _leave(signum, frame)
        asked = True

    before = _install(ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """From now on signals do nothing: all is done, and Python is about to end."""
    _install(signal.SIG_IGN)


def _install(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> dict[int, Any]:
    """The handlers that it replaces. What whoever started the program ignores (`nohup`) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    kept = (signal.SIG_IGN, None)
    return {n: signal.signal(n, handler) for n in SIGNALS if signal.getsignal(n) not in kept}


def _leave(signum: int, frame: FrameType | None) -> None:
    for function in reversed(_cleanups):
        with contextlib.suppress(Exception):
            function()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # it may be in the middle of a write
            stream.flush()
    with contextlib.suppress(OSError):
        os.write(2, b"microgpt: interrupted\n")
    os._exit(INTERRUPTED)  # threads that compile would keep the interpreter from ending
