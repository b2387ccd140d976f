"""Single keys, as they are pressed: the terminal neither echoes them nor waits for the end of a line.

On Linux, macOS and other Unix systems termios switches the terminal. On Windows msvcrt reads the console.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from typing import Any, Protocol

from microgpt.terminal import interruption

# After an escape character, how long the rest of a key's code may take to arrive; no rest: the key Escape
ESCAPE_SECONDS = 0.05
# how often a Windows console is asked whether a key waits
POLL_SECONDS = 0.01


class Key(Enum):
    """The keys that are no characters; END asks to leave: Escape, Ctrl-C or Ctrl-D."""

    TAB = "tab"
    BACKSPACE = "backspace"
    UP = "up"
    DOWN = "down"
    RIGHT = "right"
    LEFT = "left"
    END = "end"


CONTROLS: dict[str, Key | str] = {
    "\t": Key.TAB,
    "\r": "\n",
    "\n": "\n",
    "\b": Key.BACKSPACE,
    "\x7f": Key.BACKSPACE,
    "\x03": Key.END,  # Ctrl-C
    "\x04": Key.END,  # Ctrl-D
    "\x1b": Key.END,  # Escape alone
}
# What a terminal sends for a key like an arrow (ECMA-48), and for Alt with a character
SEQUENCE = re.compile(r"\x1b(?:[\[O][0-?]*[ -/]*(?P<final>[@-~])|[^\[O\x1b])", re.DOTALL)
INCOMPLETE = re.compile(r"\x1b(?:[\[O][ -?]*)?\Z")
ARROWS = {"A": Key.UP, "B": Key.DOWN, "C": Key.RIGHT, "D": Key.LEFT}
# A Windows console has two characters for such a key: one of the first, and these
WINDOWS_FIRST = ("\x00", "\xe0")
WINDOWS_ARROWS = {"H": Key.UP, "P": Key.DOWN, "M": Key.RIGHT, "K": Key.LEFT}


class Keyboard(Protocol):
    """Where keys come from."""

    def read(self, seconds: float) -> Key | str | None:
        """The next key, or character; None where none is pressed in this time."""


@contextlib.contextmanager
def keyboard() -> Iterator[Keyboard]:
    """The keys of the terminal at standard input, within a `with` block.

    Whatever ends the block, or a signal the program in it, the terminal is then as it was before; and so it
    is while the program is suspended. What was typed and not read is forgotten, so that no shell takes it
    for commands.
    """
    if os.name == "nt":
        yield WindowsKeyboard()
    else:
        file = sys.stdin.fileno()
        with _unbuffered(file):
            yield UnixKeyboard(file)


@contextlib.contextmanager
def _unbuffered(file: int) -> Iterator[None]:
    """A terminal that sends each key at once and does not show it."""
    import termios

    before = termios.tcgetattr(file)
    settings: list[Any] = termios.tcgetattr(file)
    # Ctrl-C, Ctrl-S and Enter are keys like others; Ctrl-Z suspends; what is written is still what it was
    settings[0] &= ~(termios.ICRNL | termios.IXON)
    settings[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
    for number in (termios.VINTR, termios.VQUIT):
        settings[6][number] = bytes([os.fpathconf(file, "PC_VDISABLE")])

    def apply() -> None:
        termios.tcsetattr(file, termios.TCSADRAIN, settings)

    def restore() -> None:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(file, termios.TCSAFLUSH, before)

    with interruption.suspendable(restore, apply):
        try:
            apply()
            yield
        finally:
            restore()


class UnixKeyboard:
    """The keys of a terminal that sends each one at once. A terminal that is gone sends END."""

    def __init__(self, file: int) -> None:
        self._file, self._keys = file, list[Key | str]()
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def read(self, seconds: float) -> Key | str | None:
        if not self._keys and self._has_some(seconds):
            text = self._text()
            while INCOMPLETE.search(text) and self._has_some(ESCAPE_SECONDS):
                text += self._text()
            self._keys += parsed(text)
        return self._keys.pop(0) if self._keys else None

    def _has_some(self, seconds: float) -> bool:
        return bool(select.select([self._file], [], [], seconds)[0])

    def _text(self) -> str:
        try:
            sent = os.read(self._file, 4096)
        except OSError:
            sent = b""
        return self._decode(sent) if sent else "\x04"


def parsed(text: str) -> Iterator[Key | str]:
    """The keys for which a terminal sends these characters; those without a meaning are left out."""
    place = 0
    while place < len(text):
        match, character = SEQUENCE.match(text, place), text[place]
        place += 1 if match is None else len(match[0])
        if match is not None:
            known: Key | str | None = ARROWS.get(match["final"])
        elif character < " " or "\x7f" <= character < "\xa0":
            known = CONTROLS.get(character)
        else:
            known = character
        if known is not None:
            yield known


class WindowsKeyboard:
    """The keys of a Windows console."""

    def __init__(self) -> None:
        self._msvcrt: Any = import_module("msvcrt")

    def read(self, seconds: float) -> Key | str | None:
        end = time.monotonic() + seconds
        while not self._msvcrt.kbhit():
            if time.monotonic() >= end:
                return None
            time.sleep(POLL_SECONDS)
        first = self._msvcrt.getwch()
        if first in WINDOWS_FIRST and self._msvcrt.kbhit():
            return WINDOWS_ARROWS.get(self._msvcrt.getwch())
        if "\ud800" <= first < "\udc00":  # half of a character beyond U+FFFF
            both = first + self._msvcrt.getwch()
            first = both.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return next(parsed(first), None)
