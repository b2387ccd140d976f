"""Reading a UTF-8 text as token ids, from a file or from memory.

A file is read twice in small blocks, so that a text of any size needs little more memory than its token ids.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microgpt.arrays import IdArray
from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.text.encoding import BEGINNING, CHARACTERS_PER_NUL, looks_like, not_utf8, other_encoding
from microgpt.text.opening import IN_MEMORY, Readable, Source, opened, text_name
from microgpt.text.vocabulary import (
    N_CODE_POINTS,
    CodePoints,
    Vocabulary,
    characters_of,
    code_points,
    enumerate_characters,
)

BLOCK_SIZE = 1 << 18  # bytes per read: a non-ASCII block briefly needs about 16 times as much


@dataclass(frozen=True, eq=False)
class Text:
    """A text as token ids."""

    ids: IdArray  # (n,), in the smallest of uint8, uint16 and uint32 that holds every id
    vocabulary: Vocabulary
    sha256: str  # of the file's bytes, in hexadecimal
    path: Path
    n_skipped: int = 0  # characters that the vocabulary lacks, and the ids leave out


def read_text(source: Source, budget: Budget | None = None, more: Vocabulary | None = None) -> Text:
    """Reads a UTF-8 text, with or without a BOM, and builds the vocabulary of its characters.

    source  the path of a file; - for standard input, which is kept in a temporary file while it is read; or
            the text's bytes
    budget  books the ids before they are allocated; None for no limit
    more    characters that join the vocabulary

    Newlines stay as they are. Raises MicrogptError for a file that is missing, unreadable, empty, not UTF-8,
    that changes while it is read, or whose ids do not fit.
    """
    return _read(source, None, budget or Budget(None), "train on a part of it", more=more)


def encode_file(
    source: Source,
    vocabulary: Vocabulary,
    budget: Budget | None = None,
    *,
    skip_unknown: bool = False,
    otherwise: str = "--skip-unknown leaves them out",
) -> Text:
    """Reads a UTF-8 text, as `read_text` does, as tokens of a given vocabulary.

    skip_unknown  leave out the characters that the vocabulary lacks
    otherwise     what may be done about them, for the error

    Raises MicrogptError as `read_text` does, and for characters outside the vocabulary: it counts and names
    them and says where the first one is. With `skip_unknown` it is raised only where nothing would be left.
    """
    return _read(
        source, vocabulary, budget or Budget(None), "use a part of it", skip_unknown, otherwise=otherwise
    )


def _read(
    source: Source,
    vocabulary: Vocabulary | None,
    budget: Budget,
    remedy: str,
    skip_unknown: bool = False,
    more: Vocabulary | None = None,
    otherwise: str = "",
) -> Text:
    name = text_name(source)
    n_skipped = 0
    with opened(source, budget) as file:
        seen, length, sha256 = _scan(file, name)
        if length == 0:
            raise MicrogptError(f"{name} is empty: there is nothing to read")
        if vocabulary is None:
            vocabulary = Vocabulary(characters_of(seen if more is None else np.union1d(seen, more.codes)))
        elif len(unknown := np.setdiff1d(seen, vocabulary.codes, assume_unique=True)):
            n_skipped, line, column = _find(unknown, file, name, sha256)
            which = f"{n_skipped:,} of the {length:,} characters of {name}: {enumerate_characters(unknown)}"
            if n_skipped == length:
                raise MicrogptError(f"the model knows none of {which}")
            if not skip_unknown:
                raise MicrogptError(
                    f"the model does not know {which}, the first at line {line}, column {column}; {otherwise}"
                )
        dtype = np.dtype(_smallest_dtype(len(vocabulary)))
        budget.book((length - n_skipped) * dtype.itemsize, "the text", remedy)
        ids = np.empty(length - n_skipped, dtype)
        _fill(ids, file, name, vocabulary, sha256, skip_unknown=n_skipped > 0)
    path = IN_MEMORY if isinstance(source, bytes) else source
    return Text(ids, vocabulary, sha256, path, n_skipped)


def _blocks(file: Readable, name: str, digest: Any) -> Iterator[bytes | CodePoints]:
    """The text from its beginning: bytes where a block is plain ASCII, which is faster, else code points.

    The BOM is left out. `digest` is updated with every byte of the file.
    """
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0  # of the block's first byte
    at_start = True
    while True:
        block = file.read(BLOCK_SIZE)
        digest.update(block)
        pending = len(decoder.getstate()[0])  # bytes of a character that the end of the last block cut in two
        if block and not pending and block.isascii():
            at_start = False
            yield block
        else:
            try:
                decoded = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                if encoding := looks_like(_beginning(file)):
                    raise other_encoding(name, encoding) from None
                place = offset - pending + error.start
                raise not_utf8(name, error.object[error.start], place, error.reason) from None
            if decoded:
                text = decoded.removeprefix("\ufeff") if at_start else decoded
                at_start = False
                yield code_points(text)
        if not block:
            return
        offset += len(block)


def _blocks_again(file: Readable, name: str, sha256: str) -> Iterator[bytes | CodePoints]:
    """The same once more; raises MicrogptError at the end unless the file is what the first pass saw."""
    digest = hashlib.sha256()
    yield from _blocks(file, name, digest)
    if digest.hexdigest() != sha256:
        raise _changed(name)


def _scan(file: Readable, name: str) -> tuple[CodePoints, int, str]:
    """First pass: the distinct characters in order, how many characters there are, and the file's SHA-256."""
    digest = hashlib.sha256()
    length = n_nul = 0
    seen = np.zeros(N_CODE_POINTS, np.bool_)
    seen_ascii = b""
    for block in _blocks(file, name, digest):
        length += len(block)
        if isinstance(block, bytes):
            # deleting what is known is several times faster than marking every byte
            seen_ascii += bytes(set(block.translate(None, seen_ascii)))
            n_nul += block.count(0) if 0 in seen_ascii else 0
        else:
            seen[block] = True
            n_nul += len(block) - int(np.count_nonzero(block)) if seen[0] else 0
        if n_nul > 1 and n_nul * CHARACTERS_PER_NUL > length:
            if encoding := looks_like(_beginning(file)):
                raise other_encoding(name, encoding)
            raise MicrogptError(
                f"{name} is not a text: {n_nul:,} of its first {length:,} characters are NUL; "
                "`tr -d '\\0'` would remove them"
            )
    seen[list(seen_ascii)] = True
    return np.flatnonzero(seen).astype(np.uint32), length, digest.hexdigest()


def _fill(
    ids: IdArray, file: Readable, name: str, vocabulary: Vocabulary, sha256: str, *, skip_unknown: bool
) -> None:
    """Another pass: writes the ids (n,) of all characters, or with `skip_unknown` of the known ones."""
    table = np.zeros(N_CODE_POINTS, ids.dtype)
    table[vocabulary.codes] = np.arange(len(vocabulary))
    known = np.full(N_CODE_POINTS, not skip_unknown)
    known[vocabulary.codes] = True
    # ids follow code points: those of ASCII are below 128
    ascii_table = table[:256].astype(np.uint8).tobytes()
    unknown_ascii = bytes(np.flatnonzero(~known[:128]).tolist())

    start = 0
    for block in _blocks_again(file, name, sha256):
        if isinstance(block, bytes):
            block = block.translate(ascii_table, unknown_ascii)
        elif skip_unknown:
            block = block[known[block]]
        end = start + len(block)
        if end > len(ids):
            raise _changed(name)
        if isinstance(block, bytes):
            ids[start:end] = np.frombuffer(block, np.uint8)
        else:
            table.take(block, out=ids[start:end], mode="clip")  # no index is out of range; "raise" would copy
        start = end


def _find(characters: CodePoints, file: Readable, name: str, sha256: str) -> tuple[int, int, int]:
    """How often these characters occur, and the line and the column of the first; both count from 1."""
    wanted = np.zeros(N_CODE_POINTS, np.bool_)
    wanted[characters] = True
    found, line, column = 0, 1, 1
    for block in _blocks_again(file, name, sha256):
        codes = np.frombuffer(block, np.uint8) if isinstance(block, bytes) else block
        places = np.flatnonzero(wanted[codes])
        if not found:
            before = codes[: places[0]] if len(places) else codes
            newlines = np.flatnonzero(before == ord("\n"))
            line += len(newlines)
            column = len(before) - int(newlines[-1]) if len(newlines) else column + len(before)
        found += len(places)
    return found, line, column


def _beginning(file: Readable) -> bytes:
    file.seek(0)
    return file.read(BEGINNING)


def _changed(name: str) -> MicrogptError:
    return MicrogptError(f"{name} changed while it was being read; try again when nothing writes to it")


def _smallest_dtype(V: int) -> type[np.uint8] | type[np.uint16] | type[np.uint32]:
    if V <= 1 << 8:
        return np.uint8
    return np.uint16 if V <= 1 << 16 else np.uint32
