"""Texts on a terminal with some of their characters underlined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from microgpt.terminal.harmless import harmless


def print_underlined(text: str, marked: Sequence[bool]) -> None:
    """Print a text, harmless, with the marked characters underlined where the terminal can do that."""
    Console(highlight=False, emoji=False).print(underlined(text, marked), soft_wrap=True)


def underlined(text: str, marked: Sequence[bool]) -> Text:
    # CR LF are shown as one character, also where only one of them is marked
    kept = (i for i in range(len(text)) if text[i : i + 2] != "\r\n")
    shown = Text()
    for mark, group in groupby(kept, key=lambda i: bool(marked[i])):
        shown.append(harmless("".join(text[i] for i in group)), "underline" if mark else None)
    return shown
