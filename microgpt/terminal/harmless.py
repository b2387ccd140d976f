"""Texts as a terminal can show them safely, whatever control characters they contain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

# what moves a terminal's cursor, changes its colours or its title, or turns the direction of the text around
_BIDI = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {*range(0x20), *range(0x7F, 0xA0), *_BIDI} - {ord("\n"), ord("\t")}
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}


def harmless(text: str) -> str:
    """The text with visible escapes like `\\x1b` for its control characters.

    Newline and tab stay, and CR LF becomes a newline. Only terminals need it: files and pipes get the text.
    """
    return text.replace("\r\n", "\n").translate(_ESCAPES)


def harmless_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """`harmless` for a text in pieces, of which one may end between CR and LF."""
    held = ""
    for piece in pieces:
        text = held + piece
        held = "\r" if text.endswith("\r") else ""
        yield harmless(text.removesuffix("\r"))
    if held:
        yield harmless(held)
