"""Which encoding a file has that is not UTF-8, and the sentences that say so."""

from __future__ import annotations

import codecs

from microgpt.errors import MicrogptError

# a text may hold a NUL character now and then; more than one in this many characters show another encoding
CHARACTERS_PER_NUL = 32
BEGINNING = 4096  # bytes of a file that show its encoding
MARKS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32LE",
    codecs.BOM_UTF32_BE: "UTF-32BE",
    codecs.BOM_UTF16_LE: "UTF-16LE",
    codecs.BOM_UTF16_BE: "UTF-16BE",
}


def looks_like(beginning: bytes) -> str | None:
    """The encoding of a text that is not UTF-8, by the byte order mark or the NULs in its first bytes."""
    for mark, encoding in MARKS.items():
        if beginning.startswith(mark):
            return encoding
    first, second, third, fourth = (beginning[place::4].count(0) for place in range(4))
    n_nul, groups = first + second + third + fourth, len(beginning) // 4
    if n_nul < 2 or n_nul * CHARACTERS_PER_NUL <= len(beginning):
        return None
    if min(third, fourth) >= groups > 2 * first:
        return "UTF-32LE"
    if min(first, second) >= groups > 2 * fourth:
        return "UTF-32BE"
    if second + fourth > 9 * (first + third):
        return "UTF-16LE"
    if first + third > 9 * (second + fourth):
        return "UTF-16BE"
    return None


def other_encoding(name: str, encoding: str) -> MicrogptError:
    return MicrogptError(
        f"{name} looks like {encoding}; a text has to be UTF-8: `iconv -f {encoding} -t UTF-8` converts it"
    )


def not_utf8(name: str, byte: int, offset: int, reason: str) -> MicrogptError:
    return MicrogptError(
        f"{name} is not UTF-8: byte 0x{byte:02X} at offset {offset} does not belong there ({reason}); "
        "save the text as UTF-8 first"
    )
