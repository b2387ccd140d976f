"""The vocabulary: the characters that a model knows, Unicode code points, and their token ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgpt.errors import MicrogptError

CodePoints = NDArray[np.uint32]
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
        if len(self.characters) > N_CODE_POINTS or (self.codes[:-1] >= self.codes[1:]).any():
            raise MicrogptError("the characters of a vocabulary must be distinct and sorted by code point")
        if ((self.codes >= 0xD800) & (self.codes <= 0xDFFF)).any():
            raise MicrogptError("a vocabulary holds a lone surrogate, which is no character")

    def __len__(self) -> int:
        return len(self.characters)

    @cached_property
    def codes(self) -> CodePoints:
        """The code points (V,) of the characters."""
        return code_points(self.characters)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids (len(text),) of `text`; raises MicrogptError naming every unknown character."""
        codes = code_points(text)
        ids = np.minimum(np.searchsorted(self.codes, codes), len(self) - 1)
        unknown = codes[self.codes[ids] != codes]
        if len(unknown):
            raise MicrogptError(f"the model does not know {enumerate_characters(np.unique(unknown))}")
        return ids.astype(np.int32)

    def decode(self, ids: ArrayLike) -> str:
        """The text of integer token ids (n,); an id outside 0..V-1 raises IndexError."""
        ids = np.asarray(ids, dtype=np.int64)
        if len(ids) and not 0 <= ids.min() <= ids.max() < len(self):
            raise IndexError(f"token ids must lie between 0 and {len(self) - 1}")
        return characters_of(self.codes[ids])


def code_points(text: str) -> CodePoints:
    # surrogates get in through command lines that are not UTF-8; they have to arrive to be named in an error
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def characters_of(codes: NDArray[np.integer[Any]]) -> str:
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def enumerate_characters(codes: CodePoints) -> str:
    """The names of characters as `a, b and c`; of very many, the first few and how many more."""
    names = [f"{chr(code)!r} (U+{code:04X})" for code in codes[:MAX_NAMED].tolist()]
    if len(codes) > MAX_NAMED:
        names.append(f"{len(codes) - MAX_NAMED:,} more")
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
