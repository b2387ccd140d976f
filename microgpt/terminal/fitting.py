"""Lines and tables that fit the terminal; files and pipes get them whole."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

CUT = "..."


def columns() -> int | None:
    """The number of columns of the terminal; None where standard output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(line: str, indent: int) -> str:
    """A line broken between words, with all of its lines but the first indented.

    A word that is longer than the terminal allows is cut, and ends in dots.
    """
    width = columns()
    if width is None or len(line) <= width:
        return line
    room = max(width - indent, len(CUT) + 1)
    longest = room - len(CUT)
    shorter = re.sub(rf"(\S{{{longest}}})\S{{{len(CUT) + 1},}}", rf"\1{CUT}", line)
    lines = textwrap.wrap(
        shorter,
        room + indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def fitting_columns(widths: dict[str, int], least: Sequence[str], gap: int) -> list[str]:
    """The columns of a table for which there is room, with `gap` spaces between them.

    least  what is left out first where the terminal is too narrow
    """
    names, width = list(widths), columns()
    for name in least:
        if width is None or sum(widths[kept] + gap for kept in names) - gap <= width:
            break
        names.remove(name)
    return names
