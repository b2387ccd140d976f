"""Prompts, from files and from standard input."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from microgpt.errors import MicrogptError
from microgpt.machine.budget import format_bytes
from microgpt.text.encoding import BEGINNING, looks_like, not_utf8, other_encoding
from microgpt.text.opening import STANDARD_INPUT, explained, open_file, text_name
from microgpt.text.spool import read_from, standard_input

MAX_PROMPT = 1 << 24  # bytes


def read_prompt(path: Path) -> str:
    """A prompt from a UTF-8 file, with or without a BOM; `-` is standard input.

    One line break at its end, LF or CR LF, is left out: editors and `echo` add it, and a prompt goes on where
    it stops. A prompt that ends in a line break has two. All else stays as it is. Raises MicrogptError for
    what cannot be read, is not UTF-8, or has more than 16 MiB.
    """
    if path == STANDARD_INPUT:
        return read_prompt_from(standard_input(), text_name(path))
    with explained(text_name(path)), open_file(path) as file:
        return read_prompt_from(file, text_name(path))


def read_prompt_from(stream: BinaryIO, name: str = "standard input") -> str:
    """The same from an open stream of bytes; messages call it `name`."""
    with explained(name):
        content = read_from(stream, MAX_PROMPT + 1, name)
    if len(content) > MAX_PROMPT:
        raise MicrogptError(f"{name} is too long for a prompt, which may have {format_bytes(MAX_PROMPT)}")
    encoding = looks_like(content[:BEGINNING])
    if encoding:
        raise other_encoding(name, encoding)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(name, content[error.start], error.start, error.reason) from None
    text = text.removeprefix("\ufeff")
    return re.sub(r"\r?\n\Z", "", text)
