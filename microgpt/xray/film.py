"""The film of a training run: how its heads take up their roles, from the weights that it kept on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from microgpt.arrays import Array, Floats, IdArray
from microgpt.checkpoint.saved import load_model
from microgpt.errors import MicrogptError, shown_path
from microgpt.machine.backends import Listener, compiled
from microgpt.machine.budget import Budget
from microgpt.model.architecture import Architecture
from microgpt.model.placed import PlacedModel, place
from microgpt.text.vocabulary import Vocabulary
from microgpt.xray.coalitions import Coalitions
from microgpt.xray.head import Head, heads_of
from microgpt.xray.importance import gradient_importance
from microgpt.xray.induction import induction, repeated_strings
from microgpt.xray.patterns import OTHERS, patterns
from microgpt.xray.reading import Reader


@dataclass(frozen=True, eq=False)
class Film:
    """Measures of a model's H heads after S numbers of training steps, all on one text. `Xray` explains them.

    steps                        (S,)    how many were done
    bits                         (S,)    the loss in bits per character
    without_attention            (S,)    the same with the means of all heads in place of what they write
    ablation                     (S, H)  by how much it grows with the mean of one head
    gradient_importance          (S, H)
    previous, first, same, newline, word_start, induction, entropy, reach   (S, H), of the attention patterns
    """

    steps: Array
    bits: Floats
    without_attention: Floats
    ablation: Floats
    gradient_importance: Floats
    previous: Floats
    first: Floats
    same: Floats
    newline: Floats
    word_start: Floats
    induction: Floats
    entropy: Floats
    reach: Floats


def film(
    k: ModuleType,
    architecture: Architecture,
    vocabulary: Vocabulary,
    snapshots: Mapping[int, Path],
    ids: IdArray,
    listener: Listener,
) -> Film:
    """Look into the snapshots of a run, as `xray` looks into a model, but for what takes long.

    architecture, vocabulary  of the model
    snapshots                 at least one file, by its step
    ids                       (n + 1,), n >= 1, in unsigned integers

    Raises MicrogptError for a file that is no snapshot of this model, and where the losses are not finite.
    """
    placed = place(k, architecture, Budget(None))
    reader = Reader(placed, ids)
    strings = Reader(placed, repeated_strings(len(vocabulary), architecture.seq_len))
    compiled(listener, reader.compile)
    pictures = []
    for done, file in enumerate(snapshots.values()):
        listener.working("looking into the snapshots", f"{done} of {len(snapshots)}")
        snapshot = load_model(file)
        if (snapshot.architecture, snapshot.vocabulary) != (architecture, vocabulary):
            raise MicrogptError(f"{shown_path(file)} is no snapshot of this model, but of another one")
        snapshot.read_into(k, {"": placed.param})
        pictures.append(_picture(placed, heads_of(architecture), vocabulary, ids, reader, strings))
    listener.idle()
    measures = {name: np.array([picture[name] for picture in pictures]) for name in pictures[0]}
    return Film(steps=np.array(list(snapshots)), **measures)


def _picture(
    placed: PlacedModel,
    heads: Sequence[Head],
    vocabulary: Vocabulary,
    ids: IdArray,
    reader: Reader,
    strings: Reader,
) -> dict[str, Array]:
    """The measures of `Film` with the parameters as they are: of the model (), and of each head (H,)."""
    reading = reader.read()
    found, _ = patterns(reading, heads, vocabulary)
    coalitions = Coalitions(placed, ids)
    without = [coalitions.without(h).mean() for h in range(len(heads))]
    bits = reading.losses.mean(dtype=np.float64) / math.log(2)
    return {
        "bits": bits,
        "without_attention": coalitions.losses([False] * len(heads)).mean(),
        "ablation": np.array(without) - bits,
        "gradient_importance": gradient_importance(reading, heads),
        "previous": found.offsets[:, 0],
        **{name: getattr(found, name) for name in (*OTHERS, "entropy", "reach")},
        "induction": induction(strings.read(), heads),
    }
