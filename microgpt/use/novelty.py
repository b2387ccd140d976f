"""How much of a generated text is copied from the text that its model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from microgpt.arrays import IdArray, blocks
from microgpt.config import TrainConfig
from microgpt.errors import shown, shown_path
from microgpt.text.matching import Integers, Progress, matching_statistics
from microgpt.text.vocabulary import Vocabulary
from microgpt.text.walk import split
from microgpt.use.own_text import beginning, own_text

# Characters. Shorter pieces are common words, which any text in the language has.
LONGER_THAN = 20


class Copy(NamedTuple):
    """A piece of a generated text that the other text has as well, and no longer one around it.

    begin, end  its characters are generated[begin:end]
    place       it first stands at text[place : place + end - begin]
    """

    begin: int
    end: int
    place: int

    @property
    def length(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True, eq=False)
class Novelty:
    """What another text has of n generated characters.

    lengths  (n,)  the characters of the longest piece that ends with this one and stands in the other text:
                   generated[i + 1 - lengths[i] : i + 1]; 0 where the other text lacks the character
    places   (n,)  where that piece first begins in the other text, from 0; -1 where there is none
    """

    lengths: Integers
    places: Integers

    def copies(self, longer_than: int = LONGER_THAN) -> list[Copy]:
        """All copies of more characters, in their order; one may begin before the last one ends."""
        goes_on = np.append(self.lengths[1:] > self.lengths[:-1], np.False_)[: len(self.lengths)]
        last = np.flatnonzero((self.lengths > longer_than) & ~goes_on)
        rows = np.stack([last + 1 - self.lengths[last], last + 1, self.places[last]], axis=1)
        return [Copy(*row) for row in rows.tolist()]

    def copied(self, longer_than: int = LONGER_THAN) -> npt.NDArray[np.bool_]:
        """Whether each character (n,) is in such a copy."""
        copied = np.zeros(len(self.lengths), np.bool_)
        for copy in self.copies(longer_than):
            copied[copy.begin : copy.end] = True
        return copied

    def share(self, longer_than: int = LONGER_THAN) -> float:
        """The share of the characters that are in such copies; 0 of none."""
        return float(self.copied(longer_than).mean()) if len(self.lengths) else 0.0

    @property
    def longest(self) -> Copy | None:
        """The longest copy, the first of those; None where the other text has not one of the characters."""
        return max(self.copies(0), key=lambda copy: copy.length, default=None)


class Learned(NamedTuple):
    """What a run was trained on, to compare with.

    ids      (N,)  without the characters that it held out
    name     as messages call it
    weights  of another run that it began with, if so; what that was trained on is not compared with
    """

    ids: IdArray
    vocabulary: Vocabulary
    name: str
    weights: str | None


def novelty(generated: IdArray, text: IdArray, progress: Progress | None = None) -> Novelty:
    """What a text, ids (N,), has of generated characters, ids (n,) of the same vocabulary.

    It is exact, and reads the text once: `matching_statistics` says what that takes. Raises MicrogptError
    where the characters are too many.
    """
    return Novelty(*matching_statistics(generated, text, progress))


def learned(
    config: TrainConfig,
    notes: Mapping[str, Any],
    vocabulary: Vocabulary,
    otherwise: str,
    moved_to: Path | None = None,
) -> Learned:
    """What a run with these options and notes was trained on; raises MicrogptError as `own_text` does."""
    text = own_text(
        config.file,
        notes,
        vocabulary,
        need="--novelty needs the text that the run was trained on",
        otherwise=otherwise,
        moved_to=moved_to,
    )
    ids, _ = split(text.ids, config.val_fraction)
    return Learned(ids, vocabulary, beginning(text, ids), config.weights)


def lines_of(text: Learned, places: list[int]) -> list[int]:
    """The lines, from 1, in which characters stand; `places` from 0."""
    characters = text.vocabulary.characters
    if "\n" not in characters:
        return [1] * len(places)
    line_break = characters.index("\n")
    breaks = [
        low + np.flatnonzero(text.ids[low:high] == line_break) for low, high in blocks(0, len(text.ids))
    ]
    lines: list[int] = (1 + np.searchsorted(np.concatenate(breaks), places)).tolist()
    return lines


def sentences(found: Novelty, generated: str, text: Learned, name: str = "the text") -> list[str]:
    """The novelty of a generated text for people, who know it by this name."""
    said = [
        f"novelty: {found.share():.1%} of {name} is in copies of more than {LONGER_THAN} characters from "
        f"{text.name}, which the run was trained on"
    ]
    if (longest := found.longest) is not None:
        (line,) = lines_of(text, [longest.place])
        unit = "characters" if longest.length > 1 else "character"
        said.append(
            f"the longest copy has {longest.length:,} {unit}, from line {line:,} (offset {longest.place:,}): "
            + shown(generated[longest.begin : longest.end])
        )
    if text.weights is not None:
        said.append(
            f"the run began with the weights of {shown_path(text.weights)}; what those were trained on is "
            "not looked at"
        )
    return said


def figures(found: Novelty, text: Learned) -> dict[str, Any]:
    """The novelty as JSON, for other programs and for pages that underline copies.

    "text", "text_characters"  what was compared with, and how long it is
    "weights"                  that the run began with, or null; what those were trained on is not looked at
    "longer_than"              what a copy has to be longer than
    "share"                    of the characters that are in such copies
    "copies"                   of each its "begin" and "end" in the generated text, and where it first stands
                               in the other: "offset", from 0, and "line", from 1
    "longest"                  the same of the longest copy, however short it is; or null
    "lengths"                  of the longest piece that ends with each character
    """
    longest, copies = found.longest, found.copies()
    known = copies if longest is None else [longest, *copies]
    rows = [
        {"begin": copy.begin, "end": copy.end, "offset": copy.place, "line": line}
        for copy, line in zip(known, lines_of(text, [copy.place for copy in known]), strict=True)
    ]
    return {
        "text": text.name,
        "text_characters": len(text.ids),
        "weights": text.weights,
        "longer_than": LONGER_THAN,
        "share": found.share(),
        "longest": None if longest is None else rows[0],
        "copies": rows[len(known) - len(copies) :],
        "lengths": found.lengths.tolist(),
    }
