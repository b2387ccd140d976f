"""What the user hears of compiled kernels: how many there are, and a line where they cannot be kept."""

from __future__ import annotations

import sys
from collections.abc import Callable

_n_compiled = 0
_told: set[str] = set()


def n_compiled() -> int:
    """How many functions this process had to compile, including those that it is compiling now."""
    return _n_compiled


def count_compiled() -> None:
    """Count a function that is going to be compiled."""
    global _n_compiled
    _n_compiled += 1


def _print(line: str) -> None:
    print(line, file=sys.stderr)


_tell: Callable[[str], None] = _print


def tell_to(listener: Callable[[str], None]) -> None:
    """From now on hand each line to this function. Without one, lines are printed on standard error."""
    global _tell
    _tell = listener


def tell_once(line: str) -> None:
    """Pass a line on to the user, unless the user has seen it already."""
    if line not in _told:
        _told.add(line)
        _tell(line)
