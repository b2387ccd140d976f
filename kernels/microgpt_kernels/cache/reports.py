"""What the user is told about compiled kernels: their number, and a line if they cannot be kept."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

_n_compiled = 0
_told: set[str] = set()


def n_compiled() -> int:
    """How many functions this process had to compile, including those that it is compiling now."""
    return _n_compiled


def count_compiled() -> None:
    """Count a function that is about to be compiled."""
    global _n_compiled
    _n_compiled += 1


def _print(line: str) -> None:
    print(line, file=sys.stderr)


_tell: Callable[[str], None] = _print


@contextlib.contextmanager
def told_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Within this context each line goes to the listener, and otherwise to standard error."""
    global _tell
    before, _tell = _tell, listener
    try:
        yield
    finally:
        _tell = before


def tell_once(line: str) -> None:
    """Tell the user a line, unless the same line was told before."""
    if line not in _told:
        _told.add(line)
        _tell(line)
