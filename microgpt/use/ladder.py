"""The ladder: what simpler models and compressors reach on a text, and so what a model's loss on it means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from microgpt.arrays import IdArray, blocks
from microgpt.errors import MicrogptError
from microgpt.text.ngrams import count, highest_order, kneser_ney, ngram_name, shortened
from microgpt.text.opening import text_name
from microgpt.text.reading import Text
from microgpt.text.vocabulary import Vocabulary
from microgpt.text.walk import split
from microgpt.use.evaluate import Score
from microgpt.use.own_text import beginning, own_text, state_of

HIGHEST_ORDER = 6
# what is judged of a text of which the run held nothing out
LAST_PART = 0.1
COMPRESSORS = ("gzip", "bz2", "xz")

# told what is being done, and which part of it is done
Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Parts:
    """Two parts of texts, as ids: what the ladder's models learn from, and what all have to predict.

    learned     (n,): what the run trained on
    judged      (X,), X >= 2: all but the first are predicted
    before      what precedes the judged part, if that is known
    seen        whether the run trained on the judged part as well
    name        the judged part, as messages call it
    of_learned  the part to learn from, as messages call it
    """

    learned: IdArray
    judged: IdArray
    before: IdArray | None
    seen: bool
    name: str
    of_learned: str


@dataclass(frozen=True)
class Rung:
    """What one way to predict the text reaches."""

    name: str
    score: Score


def parts(run: Path, text: Text) -> Parts:
    """What to learn from and what to judge where a run is asked about a text, in its vocabulary.

    Of the run's own text the part is judged that it held out, or the last tenth where it held nothing out;
    of any other text the whole. Raises MicrogptError where the run does not say what it was trained on, where
    that is not there any more, and where the text is too short.
    """
    state = state_of(run, "--ladder")
    fraction = state.config.val_fraction
    if text.sha256 != state.notes.get("text_sha256"):
        if len(text.ids) < 2:
            raise MicrogptError(f"a text needs at least 2 characters to predict one, not {len(text.ids)}")
        own = own_text(
            state.config.file,
            state.notes,
            text.vocabulary,
            need="--ladder needs the text that the run was trained on, for n-gram models to learn from",
            otherwise="without --ladder, eval gives the loss alone",
        )
        learned, _ = split(own.ids, fraction)
        return Parts(learned, text.ids, None, False, text_name(text.path), beginning(own, learned))
    if not fraction and round(len(text.ids) * LAST_PART) < 2:
        raise MicrogptError(
            f"{text_name(text.path)} has {len(text.ids)} characters, and the run trained on all of them: its "
            "last tenth is too short to be judged"
        )
    learned, judged = split(text.ids, fraction or LAST_PART)
    how = "held out" if fraction else "trained on as well"
    name = f"the last {len(judged):,} characters of {text_name(text.path)}, which the run {how}"
    return Parts(learned, judged, learned, not fraction, name, beginning(text, learned))


def rungs(parts: Parts, vocabulary: Vocabulary, progress: Progress) -> list[Rung]:
    """What n-gram models and compressors reach, each with what it learns from `parts.learned`.

    Compressors are charged for the bytes that the judged part adds to the compressed training text; alone,
    they have nothing before it. Raises MicrogptError where this Python lacks a compressor.
    """
    V, n = len(vocabulary), len(parts.judged) - 1
    uniform = Rung("uniform", Score(math.log(V), n))
    ngrams = [Rung(ngram_name(order), Score(nats, n)) for order, nats in _ngram_losses(parts, V, progress)]
    return [uniform, *ngrams, *_compressor_rungs(parts, vocabulary, progress)]


def _ngram_losses(parts: Parts, V: int, progress: Progress) -> Iterator[tuple[int, float]]:
    """The loss per character of each order, the highest first."""
    highest = highest_order(V, HIGHEST_ORDER)
    progress("counting n-grams", 0)
    grams = count(parts.learned, V, highest)
    for order in range(highest, 0, -1):
        progress("counting n-grams", 1 - order / (highest + 1))
        model = kneser_ney(grams, V, order)
        nodes = model.nodes(parts.judged, parts.before)
        yield order, max(0.0, float(np.mean(model.losses(nodes[1:], parts.judged[1:]))))
        grams = shortened(grams, V, order) if order > 1 else grams


def _compressor_rungs(parts: Parts, vocabulary: Vocabulary, progress: Progress) -> Iterator[Rung]:
    """Two rungs for each compressor: the bytes that the judged part adds to what was learned, and its own."""
    for name in COMPRESSORS:
        both, learned, alone = (
            compressed_size(name, vocabulary, texts, progress)
            for texts in ((parts.learned, parts.judged), (parts.learned,), (parts.judged,))
        )
        yield Rung(f"{name} after the training text", _score_of_bytes(both - learned, parts))
        yield Rung(f"{name} alone", _score_of_bytes(alone, parts))


def _score_of_bytes(n_bytes: int, parts: Parts) -> Score:
    n = len(parts.judged)
    return Score(8 * math.log(2) * n_bytes / n, n)


class Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def new_compressor(name: str) -> Compressor:
    """The compressor of Python's module of this name (of xz: lzma), with its own settings."""
    try:
        if name == "gzip":
            import zlib

            return zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
        if name == "bz2":
            import bz2

            return bz2.BZ2Compressor()
        import lzma

        return lzma.LZMACompressor()
    except ImportError:
        raise MicrogptError(
            f"--ladder needs {name}, which this Python was built without: use one that has it"
        ) from None


def compressed_size(name: str, vocabulary: Vocabulary, texts: Sequence[IdArray], progress: Progress) -> int:
    """The bytes that one of COMPRESSORS makes of texts, one after the other in UTF-8."""
    compressor, size, done = new_compressor(name), 0, 0
    for ids in texts:
        for low, high in blocks(0, len(ids)):
            progress(f"compressing with {name}", done / sum(map(len, texts)))
            size += len(compressor.compress(vocabulary.decode(ids[low:high]).encode()))
            done += high - low
    return size + len(compressor.flush())
