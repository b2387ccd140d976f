"""Texts as numbers: the vocabulary, reading a UTF-8 file, and how predictable its characters are.

A token is one Unicode code point. A file is read twice in small blocks, so that a text of any size needs
little more memory than its token ids.
"""

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgpt.errors import MicrogptError, shown_path
from microgpt.spool import Spool, read_from, standard_input
from microgpt.workspace import Budget, readable

IdArray = NDArray[np.integer[Any]]
CodePoints = NDArray[np.uint32]

BLOCK_SIZE = 1 << 18  # bytes per read: a non-ASCII block briefly needs about 16 times as much
N_CODE_POINTS = 0x110000  # all that Unicode will ever have: a table of this length maps any character
MAX_NAMED = 10  # unknown characters spelled out in one error
MAX_PAIRS = 1 << 20  # different pairs of neighbours that `entropies` counts: with them it needs about 50 MiB
MAX_PROMPT = 1 << 24  # bytes
# a text may hold a NUL character now and then; one in so many is the mark of another encoding
CHARACTERS_PER_NUL = 32
BEGINNING = 4096  # bytes of a file that show its encoding
STANDARD_INPUT = Path("-")
MARKS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32LE",
    codecs.BOM_UTF32_BE: "UTF-32BE",
    codecs.BOM_UTF16_LE: "UTF-16LE",
    codecs.BOM_UTF16_BE: "UTF-16BE",
}


@dataclass(frozen=True)
class Vocabulary:
    """The characters that a model knows; the token id of a character is its place among them."""

    characters: str  # distinct code points, in ascending order

    def __post_init__(self) -> None:
        # a vocabulary may come from a damaged checkpoint, so nothing about it is taken for granted
        if not self.characters:
            raise MicrogptError("a vocabulary needs at least one character")
        if len(self.characters) > N_CODE_POINTS or (self.codes[:-1] >= self.codes[1:]).any():
            raise MicrogptError("the characters of a vocabulary must be distinct and sorted by code point")
        if ((self.codes >= 0xD800) & (self.codes <= 0xDFFF)).any():
            raise MicrogptError("a vocabulary holds a lone surrogate, which is no character")

    def __len__(self) -> int:
        return len(self.characters)

    @cached_property
    def codes(self) -> CodePoints:
        """The code points (V,) of the characters."""
        return _code_points(self.characters)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids (len(text),) of `text`; raises MicrogptError naming every unknown character."""
        codes = _code_points(text)
        ids = np.minimum(np.searchsorted(self.codes, codes), len(self) - 1)
        unknown = codes[self.codes[ids] != codes]
        if len(unknown):
            raise MicrogptError(f"the model does not know {_enumerate(np.unique(unknown))}")
        return ids.astype(np.int32)

    def decode(self, ids: ArrayLike) -> str:
        """The text of integer token ids (n,); an id outside 0..V-1 raises IndexError."""
        ids = np.asarray(ids, dtype=np.int64)
        if len(ids) and not 0 <= ids.min() <= ids.max() < len(self):
            raise IndexError(f"token ids must lie between 0 and {len(self) - 1}")
        return _characters(self.codes[ids])


@dataclass(frozen=True, eq=False)
class Text:
    """A file as token ids."""

    ids: IdArray  # (n,), in the smallest of uint8, uint16 and uint32 that holds every id
    vocabulary: Vocabulary
    sha256: str  # of the file's bytes, in hexadecimal
    path: Path
    n_skipped: int = 0  # characters that the vocabulary lacks, and the ids leave out


def read_text(path: Path, budget: Budget | None = None, more: Vocabulary | None = None) -> Text:
    """Reads a UTF-8 file, with or without a BOM, and builds the vocabulary of its characters.

    path    - is standard input, which is kept in a temporary file while it is read
    budget  books the ids before they are allocated; None for no limit
    more    characters that join the vocabulary

    Newlines stay as they are. Raises MicrogptError for a file that is missing, unreadable, empty, not UTF-8,
    that changes while it is read, or whose ids do not fit.
    """
    return _read(path, None, budget or Budget(None), "train on a part of it", more=more)


def encode_file(
    path: Path,
    vocabulary: Vocabulary,
    budget: Budget | None = None,
    *,
    skip_unknown: bool = False,
    otherwise: str = "--skip-unknown leaves them out",
) -> Text:
    """Reads a UTF-8 file as tokens of a given vocabulary.

    skip_unknown  leave out the characters that the vocabulary lacks
    otherwise     what may be done about them, for the error

    Raises MicrogptError as `read_text` does, and for characters outside the vocabulary: it counts and names
    them and says where the first one is. With `skip_unknown` it is raised only where nothing would be left.
    """
    return _read(
        path, vocabulary, budget or Budget(None), "use a part of it", skip_unknown, otherwise=otherwise
    )


def text_name(path: str | Path) -> str:
    """A text as messages name it: its path in printable characters, or standard input for `-`."""
    return "standard input" if Path(path) == STANDARD_INPUT else shown_path(path)


def read_prompt(path: Path) -> str:
    """A prompt from a UTF-8 file, with or without a BOM; `-` is standard input.

    One line break at its end, LF or CR LF, is left out: editors and `echo` add it, and a prompt goes on where
    it stops. A prompt that ends in a line break has two. All else stays as it is. Raises MicrogptError for
    what cannot be read, is not UTF-8, or has more than 16 MiB.
    """
    if path == STANDARD_INPUT:
        return read_prompt_from(standard_input(), text_name(path))
    with _explained(text_name(path)), _open(path) as file:
        return read_prompt_from(file, text_name(path))


def read_prompt_from(stream: BinaryIO, name: str = "standard input") -> str:
    """The same from an open stream of bytes; messages call it `name`."""
    with _explained(name):
        content = read_from(stream, MAX_PROMPT + 1, name)
    if len(content) > MAX_PROMPT:
        raise MicrogptError(f"{name} is too long for a prompt, which may have {readable(MAX_PROMPT)}")
    encoding = _looks_like(content[:BEGINNING])
    if encoding:
        raise _other_encoding(name, encoding)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(name, content[error.start], error.start, error.reason) from None
    text = text.removeprefix("\ufeff")
    return re.sub(r"\r?\n\Z", "", text)


# what moves a terminal's cursor, changes its colours or its title, or turns the direction of the text around
_BIDI = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {*range(0x20), *range(0x7F, 0xA0), *_BIDI} - {ord("\n"), ord("\t")}
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}


def harmless(text: str) -> str:
    """A text as a terminal may show it: control characters become visible escapes like `\\x1b`.

    Newline and tab stay, and CR LF becomes a newline. Only terminals need it: files and pipes get the text.
    """
    return text.replace("\r\n", "\n").translate(_ESCAPES)


def harmless_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """`harmless` for a text that comes in pieces, where the border of two may cut a CR LF."""
    held = ""
    for piece in pieces:
        text = held + piece
        held = "\r" if text.endswith("\r") else ""
        yield harmless(text.removesuffix("\r"))
    if held:
        yield harmless(held)


def entropies(ids: IdArray, V: int) -> tuple[float, float | None]:
    """How predictable a text (n,) of token ids below V is, in nats per character.

    Returns the unigram entropy H(x_t), the loss of a model that knows only how frequent each character is,
    and the bigram entropy H(x_t | x_{t-1}), the loss of one that also sees the character before. Both are of
    the text itself, with nothing estimated. 0.0 for a text too short to have them; None for the bigram
    entropy of a text with more than MAX_PAIRS different pairs of neighbours: they would take too much memory.
    """
    if len(ids) < 2:
        return 0.0, 0.0
    counted = _count_pairs(ids, V)
    if counted is None:
        occurrences = np.zeros(V, np.int64)
        for at in range(0, len(ids), BLOCK_SIZE):
            occurrences += np.bincount(ids[at : at + BLOCK_SIZE], minlength=V)
        return _entropy(occurrences), None
    pairs, pair_counts = counted
    before = np.bincount(pairs // V, weights=pair_counts, minlength=V)  # float64, exact below 2**53
    every = before.copy()
    every[ids[-1]] += 1  # the last character comes before no other
    return _entropy(every), max(0.0, _entropy(pair_counts) - _entropy(before))


def _read(
    path: Path,
    vocabulary: Vocabulary | None,
    budget: Budget,
    remedy: str,
    skip_unknown: bool = False,
    more: Vocabulary | None = None,
    otherwise: str = "",
) -> Text:
    name = text_name(path)
    n_skipped = 0
    with _opened(path, budget) as file:
        seen, length, sha256 = _scan(file, name)
        if length == 0:
            raise MicrogptError(f"{name} is empty: there is nothing to read")
        if vocabulary is None:
            vocabulary = Vocabulary(_characters(seen if more is None else np.union1d(seen, more.codes)))
        elif len(unknown := np.setdiff1d(seen, vocabulary.codes, assume_unique=True)):
            n_skipped, line, column = _find(unknown, file, name, sha256)
            which = f"{n_skipped:,} of the {length:,} characters of {name}: {_enumerate(unknown)}"
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
    return Text(ids, vocabulary, sha256, path, n_skipped)


class _Readable(Protocol):
    """A file, as far as it is needed here."""

    def read(self, n: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except ValueError as error:  # a null character, or one that no file name of this machine can have
        raise MicrogptError(f"{text_name(path)} is not a file name: {error}") from None


@contextmanager
def _opened(path: Path, budget: Budget) -> Iterator[_Readable]:
    """The text, open for reading; every OSError until it is closed becomes one clear sentence."""
    name = text_name(path)
    with _explained(name):
        if path == STANDARD_INPUT:
            # no character has more than 4 bytes, and each takes at least one byte as an id
            room = None if budget.cap is None else 4 * max(0, budget.cap - budget.held)
            with Spool(standard_input(), room) as spool:
                yield spool
            return
        # a pipe cannot be read twice, and opening one would wait for its writer
        if path.is_dir():
            raise MicrogptError(f"{name} is a directory, not a text file")
        if path.exists() and not path.is_file():
            raise MicrogptError(
                f"{name} is a pipe or a device, not a text file; a pipe can be read as standard input, with -"
            )
        with _open(path) as file:
            yield file


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """What can go wrong while a file is opened or read, as one clear sentence."""
    try:
        yield
    except FileNotFoundError:
        raise MicrogptError(f"there is no file {name}") from None
    except PermissionError:
        raise MicrogptError(f"{name} cannot be read: permission denied") from None
    except OSError as error:
        raise MicrogptError(f"{name} cannot be read: {error.strerror or error}") from None


def _blocks(file: _Readable, name: str, digest: Any) -> Iterator[bytes | CodePoints]:
    """The text from its beginning: bytes where a block is plain ASCII, for its faster ways, else code points.

    The BOM is left out. `digest` is updated with every byte of the file.
    """
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0  # of the block's first byte
    at_start = True
    while True:
        block = file.read(BLOCK_SIZE)
        digest.update(block)
        pending = len(decoder.getstate()[0])  # bytes of a character that the border of the last block cut
        if block and not pending and block.isascii():
            at_start = False
            yield block
        else:
            try:
                decoded = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                if encoding := _looks_like(_beginning(file)):
                    raise _other_encoding(name, encoding) from None
                place = offset - pending + error.start
                raise _not_utf8(name, error.object[error.start], place, error.reason) from None
            if decoded:
                text = decoded.removeprefix("\ufeff") if at_start else decoded
                at_start = False
                yield _code_points(text)
        if not block:
            return
        offset += len(block)


def _blocks_again(file: _Readable, name: str, sha256: str) -> Iterator[bytes | CodePoints]:
    """The same once more; raises MicrogptError at the end unless the file is what the first pass saw."""
    digest = hashlib.sha256()
    yield from _blocks(file, name, digest)
    if digest.hexdigest() != sha256:
        raise _changed(name)


def _scan(file: _Readable, name: str) -> tuple[CodePoints, int, str]:
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
            if encoding := _looks_like(_beginning(file)):
                raise _other_encoding(name, encoding)
            raise MicrogptError(
                f"{name} is not a text: {n_nul:,} of its first {length:,} characters are NUL; "
                "`tr -d '\\0'` would remove them"
            )
    seen[list(seen_ascii)] = True
    return np.flatnonzero(seen).astype(np.uint32), length, digest.hexdigest()


def _fill(
    ids: IdArray, file: _Readable, name: str, vocabulary: Vocabulary, sha256: str, *, skip_unknown: bool
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


def _find(characters: CodePoints, file: _Readable, name: str, sha256: str) -> tuple[int, int, int]:
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


def _beginning(file: _Readable) -> bytes:
    file.seek(0)
    return file.read(BEGINNING)


def _looks_like(beginning: bytes) -> str | None:
    """The encoding other than UTF-8 that shows in a file's first bytes: by its mark, or by where NULs are."""
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


def _other_encoding(name: str, encoding: str) -> MicrogptError:
    return MicrogptError(
        f"{name} looks like {encoding}; a text has to be UTF-8: `iconv -f {encoding} -t UTF-8` converts it"
    )


def _not_utf8(name: str, byte: int, offset: int, reason: str) -> MicrogptError:
    return MicrogptError(
        f"{name} is not UTF-8: byte 0x{byte:02X} at offset {offset} does not belong there ({reason}); "
        "save the text as UTF-8 first"
    )


def _changed(name: str) -> MicrogptError:
    return MicrogptError(f"{name} changed while it was being read; try again when nothing writes to it")


def _count_pairs(ids: IdArray, V: int) -> tuple[IdArray, NDArray[np.int64]] | None:
    """The different pairs of neighbours, each as first * V + second, and how often each occurs.

    None if there are more than MAX_PAIRS of them.
    """
    n_possible = V * V
    block_size = 1 << 20 if n_possible <= MAX_PAIRS else 1 << 18
    code = np.uint32 if n_possible <= 1 << 32 else np.int64  # 32 bits sort in two thirds of the time
    # a pair needs two ids, so each block also has the first id of the next one
    starts = range(0, len(ids) - 1, block_size)
    blocks: Iterator[IdArray] = (ids[at : at + block_size + 1].astype(code) for at in starts)
    codes: Iterator[IdArray] = (block[:-1] * V + block[1:] for block in blocks)
    if n_possible <= MAX_PAIRS:
        table = np.zeros(n_possible, np.int64)
        for block in codes:
            table += np.bincount(block, minlength=n_possible)
        occurring = np.flatnonzero(table)
        return occurring, table[occurring]

    # most of the possible pairs of a large vocabulary never occur: keep a sorted list of those that do
    pairs: IdArray = np.empty(0, code)
    counts = np.empty(0, np.int64)
    for block in codes:
        found, found_counts = np.unique(block, return_counts=True)
        places: NDArray[np.intp] = np.searchsorted(pairs, found)
        inside = places < len(pairs)
        known = inside.copy()
        known[inside] = pairs[places[inside]] == found[inside]
        if len(pairs) + np.count_nonzero(~known) > MAX_PAIRS:
            return None
        counts[places[known]] += found_counts[known]
        pairs = np.insert(pairs, places[~known], found[~known])
        counts = np.insert(counts, places[~known], found_counts[~known])
    return pairs, counts


def _entropy(counts: NDArray[Any]) -> float:
    total = counts.sum()
    occurring = counts[counts > 0]
    return max(0.0, float(np.log(total) - (occurring * np.log(occurring)).sum() / total))


def _smallest_dtype(V: int) -> type[np.uint8] | type[np.uint16] | type[np.uint32]:
    if V <= 1 << 8:
        return np.uint8
    return np.uint16 if V <= 1 << 16 else np.uint32


def _code_points(text: str) -> CodePoints:
    # surrogates get in through command lines that are not UTF-8; they have to arrive to be named in an error
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _characters(codes: NDArray[np.integer[Any]]) -> str:
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def _enumerate(codes: CodePoints) -> str:
    """The names of characters as `a, b and c`; of very many, the first few and how many more."""
    names = [f"{chr(code)!r} (U+{code:04X})" for code in codes[:MAX_NAMED].tolist()]
    if len(codes) > MAX_NAMED:
        names.append(f"{len(codes) - MAX_NAMED:,} more")
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
