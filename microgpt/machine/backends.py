"""The backend of a run, loaded and compiled, with its progress shown to the user."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import ModuleType
from typing import Protocol, TypeVar

import microgpt_kernels
from microgpt_kernels.cache import reports

from microgpt.errors import MicrogptError

# how often a compilation is checked for Ctrl-C, and its progress shown
LOOK_SECONDS = 0.1

# LLVM's recursion is deep, and some systems give a second thread a small stack
STACK_BYTES = 16 << 20
COMPILING = "compiling the kernels for this machine; later starts skip this"
T = TypeVar("T")


class Listener(Protocol):
    """Shows the user what is going on."""

    def note(self, text: str) -> None:
        """A line that stays."""

    def working(self, what: str, so_far: str) -> None:
        """What takes a while, again and again until `idle`."""

    def idle(self) -> None: ...


class StoppedError(Exception):
    """The user does not want to wait for this any longer."""


def load_backend(name: str, listener: Listener | None = None) -> ModuleType:
    """The backend of this name. Raises MicrogptError, and never chooses another one."""
    try:
        if listener is None:
            return microgpt_kernels.load(name)
        return compiled(listener, lambda: microgpt_kernels.load(name))
    except microgpt_kernels.BackendError as error:
        raise MicrogptError(str(error)) from None


def compiled(listener: Listener, function: Callable[[], T], stop: Callable[[], bool] = lambda: False) -> T:
    """Call a function that compiles what is not in the cache, and show how far that is.

    It is called in a separate thread: an interruption is noticed at once, and is never raised within the
    compiler, which would end in a long traceback. Raises StoppedError if `stop` says so before the function
    is done; the thread then goes on, and the process should end.
    """
    future: Future[T] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    begun, before = time.monotonic(), reports.n_compiled()
    with reports.told_to(listener.note):
        size = threading.stack_size(STACK_BYTES)
        threading.Thread(target=call, daemon=True).start()
        threading.stack_size(size)
        try:
            while not future.done():
                if stop():
                    raise StoppedError
                wait([future], LOOK_SECONDS)
                n = reports.n_compiled() - before
                if n:
                    listener.working(COMPILING, f"function {n}, {time.monotonic() - begun:.0f} s")
        finally:
            listener.idle()
    return future.result()
