"""What the samples of a run have copied from the text that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microgpt.checkpoint.saved import STATE_FILE, SavedState, read_description
from microgpt.errors import MicrogptError
from microgpt.use.novelty import Novelty, figures, learned, novelty

SHOWN = ("text", "longer_than", "share", "longest", "spans")


def copies(directory: Path, samples: Sequence[str]) -> list[dict[str, Any] | None]:
    """Of each sample what `figures` says of its copies; None of all where that cannot be known.

    It cannot where the run has no checkpoint yet, where its text is not there any more, or is another one.
    """
    try:
        state = read_description(directory / STATE_FILE)
        if not isinstance(state, SavedState):
            return [None] * len(samples)
        text = learned(state.config, state.notes, state.vocabulary, "the report underlines no copies")
        found = _of_each([state.vocabulary.encode(sample) for sample in samples], text.ids)
    except MicrogptError:
        return [None] * len(samples)
    return [{name: figures(each, text)[name] for name in SHOWN} for each in found]


def _of_each(samples: Sequence[np.ndarray[Any, Any]], text: np.ndarray[Any, Any]) -> list[Novelty]:
    """The novelty of each sample, for which the text is read once: a piece that begins in the sample before
    counts from where its own begins."""
    if not samples:
        return []
    joined = novelty(np.concatenate(samples), text)
    found, begin = [], 0
    for sample in samples:
        part = slice(begin, begin + len(sample))
        lengths = np.minimum(joined.lengths[part], np.arange(1, len(sample) + 1))
        found.append(Novelty(lengths, joined.places[part] + joined.lengths[part] - lengths))
        begin += len(sample)
    return found
