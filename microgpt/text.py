"""Texts as numbers: the vocabulary, reading a UTF-8 file, and how predictable its characters are.

A token is one Unicode code point. A file is read twice in small blocks, so that a text of any size needs
little more memory than its token ids.
"""

import codecs
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgpt.errors import MicrogptError

IdArray = NDArray[np.integer[Any]]
CodePoints = NDArray[np.uint32]

BLOCK_SIZE = 1 << 18  # bytes per read: a non-ASCII block briefly needs about 16 times as much
N_CODE_POINTS = 0x110000  # all that Unicode will ever have: a table of this length maps any character
MAX_NAMED = 10  # unknown characters spelled out in one error


@dataclass(frozen=True)
class Vocabulary:
    """The characters that a model knows; the token id of a character is its place among them."""

    characters: str  # distinct code points, in ascending order

    def __post_init__(self) -> None:
        # a vocabulary may come from a damaged checkpoint, so nothing about it is taken for granted
        if not self.characters:
            raise MicrogptError("a vocabulary needs at least one character")
        if any(a >= b for a, b in zip(self.characters, self.characters[1:], strict=False)):
            raise MicrogptError("the characters of a vocabulary must be distinct and sorted by code point")
        if any("\ud800" <= character <= "\udfff" for character in self.characters):
            raise MicrogptError("a vocabulary holds a lone surrogate, which is no character")

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids (len(text),) of `text`; raises MicrogptError naming every unknown character."""
        known = _code_points(self.characters)
        codes = _code_points(text)
        ids = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        unknown = codes[known[ids] != codes]
        if len(unknown):
            names = [_name(chr(code)) for code in np.unique(unknown)]
            raise MicrogptError(f"the model does not know {_enumerate(names)}")
        return ids.astype(np.int32)

    def decode(self, ids: ArrayLike) -> str:
        """The text of integer token ids (n,); an id outside 0..V-1 raises IndexError."""
        ids = np.asarray(ids, dtype=np.int64)
        if len(ids) and not 0 <= ids.min() <= ids.max() < len(self):
            raise IndexError(f"token ids must lie between 0 and {len(self) - 1}")
        return _characters(_code_points(self.characters)[ids])


@dataclass(frozen=True, eq=False)
class Text:
    """A file as token ids."""

    ids: IdArray  # (n,), in the smallest of uint8, uint16 and uint32 that holds every id
    vocabulary: Vocabulary
    sha256: str  # of the file's bytes, in hexadecimal
    path: Path


def read_text(path: Path) -> Text:
    """Reads a UTF-8 file, with or without a BOM, and builds the vocabulary of its characters.

    Newlines stay as they are. Raises MicrogptError for a file that is missing, unreadable, empty, not UTF-8,
    or that changes while it is read.
    """
    return _read(path, None)


def encode_file(path: Path, vocabulary: Vocabulary) -> Text:
    """Reads a UTF-8 file as tokens of a given vocabulary.

    Raises MicrogptError as `read_text` does, and for characters outside the vocabulary: it names them and
    the place of the first.
    """
    return _read(path, vocabulary)


def entropies(ids: IdArray, V: int) -> tuple[float, float]:
    """How predictable a text (n,) of token ids below V is, in nats per character.

    Returns the unigram entropy H(x_t), the loss of a model that knows only how frequent each character is,
    and the bigram entropy H(x_t | x_{t-1}), the loss of one that also sees the character before. Both are of
    the text itself, with nothing estimated. 0.0 for a text too short to have them.
    """
    if len(ids) < 2:
        return 0.0, 0.0
    pairs, pair_counts = _count_pairs(ids, V)
    before = np.bincount(pairs // V, weights=pair_counts, minlength=V)  # float64, exact below 2**53
    every = before.copy()
    every[ids[-1]] += 1  # the last character comes before no other
    return _entropy(every), max(0.0, _entropy(pair_counts) - _entropy(before))


def _read(path: Path, vocabulary: Vocabulary | None) -> Text:
    with _opened(path) as file:
        characters, length, sha256 = _scan(file, path)
        if length == 0:
            raise MicrogptError(f"{path} is empty: there is nothing to read")
        if vocabulary is None:
            vocabulary = Vocabulary(characters)
        elif not set(characters) <= set(vocabulary.characters):
            raise _unknown_in_file(file, path, characters, vocabulary)
        ids = np.empty(length, _smallest_dtype(len(vocabulary)))
        _fill(ids, file, path, vocabulary, sha256)
    return Text(ids, vocabulary, sha256, path)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading; every OSError until it is closed becomes one clear sentence."""
    try:
        # a pipe cannot be read twice, and opening one would wait for its writer
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "a pipe or a device"
            raise MicrogptError(f"{path} is {kind}, not a text file")
        if "\0" in str(path):
            raise MicrogptError(f"{str(path)!r} is not a file name: it has a null character in it")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise MicrogptError(f"there is no file {path}") from None
    except PermissionError:
        raise MicrogptError(f"{path} cannot be read: permission denied") from None
    except OSError as error:
        raise MicrogptError(f"{path} cannot be read: {error.strerror or error}") from None


def _blocks(file: BinaryIO, path: Path, digest: Any) -> Iterator[bytes | CodePoints]:
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
                position = offset - pending + error.start
                raise MicrogptError(
                    f"{path} is not UTF-8: byte 0x{error.object[error.start]:02X} at offset {position} "
                    f"does not belong there ({error.reason}); save the text as UTF-8 first"
                ) from None
            if decoded:
                text = decoded.removeprefix("\ufeff") if at_start else decoded
                at_start = False
                yield _code_points(text)
        if not block:
            return
        offset += len(block)


def _scan(file: BinaryIO, path: Path) -> tuple[str, int, str]:
    """First pass: the sorted distinct characters, how many characters there are, and the file's SHA-256."""
    digest = hashlib.sha256()
    length = 0
    seen = np.zeros(N_CODE_POINTS, np.bool_)
    seen_ascii = b""
    for block in _blocks(file, path, digest):
        length += len(block)
        if isinstance(block, bytes):
            # deleting what is known is several times faster than marking every byte
            seen_ascii += bytes(set(block.translate(None, seen_ascii)))
        else:
            seen[block] = True
    seen[list(seen_ascii)] = True
    return _characters(np.flatnonzero(seen)), length, digest.hexdigest()


def _fill(ids: IdArray, file: BinaryIO, path: Path, vocabulary: Vocabulary, sha256: str) -> None:
    """Second pass: writes the ids (n,); raises MicrogptError unless the file is what the first pass saw."""
    table = np.zeros(N_CODE_POINTS, ids.dtype)
    table[_code_points(vocabulary.characters)] = np.arange(len(vocabulary))
    ascii_table = (
        table[:256].astype(np.uint8).tobytes()
    )  # ids follow code points: those of ASCII are below 128

    digest = hashlib.sha256()
    start = 0
    for block in _blocks(file, path, digest):
        end = start + len(block)
        if end > len(ids):
            raise _changed(path)
        if isinstance(block, bytes):
            ids[start:end] = np.frombuffer(block.translate(ascii_table), np.uint8)
        else:
            table.take(block, out=ids[start:end], mode="clip")  # no index is out of range; "raise" would copy
        start = end
    if digest.hexdigest() != sha256:
        raise _changed(path)


def _changed(path: Path) -> MicrogptError:
    return MicrogptError(f"{path} changed while it was being read; try again when nothing writes to it")


def _unknown_in_file(file: BinaryIO, path: Path, characters: str, vocabulary: Vocabulary) -> MicrogptError:
    """The error for a file with characters outside the vocabulary: their names and the place of the first."""
    names = [_name(character) for character in sorted(set(characters) - set(vocabulary.characters))]
    unknown = np.ones(N_CODE_POINTS, np.bool_)
    unknown[_code_points(vocabulary.characters)] = False
    line, column = 1, 1
    for block in _blocks(file, path, hashlib.sha256()):
        codes = np.frombuffer(block, np.uint8) if isinstance(block, bytes) else block
        found = np.flatnonzero(unknown[codes])
        before = codes[: found[0]] if len(found) else codes
        newlines = np.flatnonzero(before == ord("\n"))
        line += len(newlines)
        column = len(before) - int(newlines[-1]) if len(newlines) else column + len(before)
        if len(found):
            break
    return MicrogptError(
        f"the model does not know {_enumerate(names)}; {path} has the first at line {line}, column {column}"
    )


def _count_pairs(ids: IdArray, V: int) -> tuple[IdArray, NDArray[np.int64]]:
    """The distinct pairs of neighbours, each as first * V + second, and how often each occurs."""
    block_size = 1 << 20
    n_possible = V * V
    code = np.uint32 if n_possible <= 1 << 32 else np.int64  # 32 bits sort in two thirds of the time
    # a pair needs two ids, so each block also has the first id of the next one
    starts = range(0, len(ids) - 1, block_size)
    blocks: Iterator[IdArray] = (ids[at : at + block_size + 1].astype(code) for at in starts)
    codes: Iterator[IdArray] = (block[:-1] * V + block[1:] for block in blocks)
    if n_possible <= block_size:
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


def _name(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"


def _enumerate(names: list[str]) -> str:
    """`a, b and c`; of very many, the first few and how many more."""
    if len(names) > MAX_NAMED:
        names = [*names[:MAX_NAMED], f"{len(names) - MAX_NAMED} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
