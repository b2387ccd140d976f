"""The X-ray of a model: all measures of all its heads on one text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microgpt.arrays import Floats, IdArray
from microgpt.machine.backends import Listener, compiled
from microgpt.machine.cores import available_cores
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import table, views
from microgpt.model.placed import PlacedModel
from microgpt.text.vocabulary import Vocabulary
from microgpt.xray.ablation import Ablations, ablations
from microgpt.xray.attribution import attribution, part_names
from microgpt.xray.coalitions import Coalitions
from microgpt.xray.composition import Composition, composition
from microgpt.xray.copying import copying
from microgpt.xray.fairness import Fairness, fairness
from microgpt.xray.film import Film, film
from microgpt.xray.head import Head, heads_of
from microgpt.xray.importance import gradient_importance
from microgpt.xray.induction import induction, repeated_strings
from microgpt.xray.patterns import Patterns, patterns
from microgpt.xray.ranks import ranks
from microgpt.xray.reading import Reader, Reading
from microgpt.xray.shapley import Shapley, shapley


@dataclass(frozen=True, eq=False)
class Xray:
    """What was measured of a model's H heads on a text of n + 1 characters.

    Losses, and what follows from them, are in bits per character; where a model has n-grams, they are of its
    network alone. Heads are in the order of `heads`. The file of its name explains each measure.

    run                        what is known of the model, as in JSON: "name", "step", "options", "backend",
                               "ngrams", the order of those that it also has or None, and others
    architecture, vocabulary   of the model
    text                       the characters
    source                     in words, where the text is from
    bits                       (n,)    the loss of each character but the first
    heads                      (H,)    .layer and .number, both from 0; .width; .name as people count, "1.1"
    ablations                  how the loss changes without each head: .mean and .zero, each with .bits, .low
                               and .high (H,); .all_on, the loss; .all_off, the loss without attention
    shapley                    .bits, .low, .high (H,), .interactions (H, H) or None; None if not asked for
    gradient_importance        (H,)
    patterns                   .offsets (H, 8), .first, .same, .newline, .word_start (H,), from 0 to 1;
                               .entropy (H,) in nats, .reach (H,) in characters
    uniform                    the same with H = 1 of a head that looks at everything equally
    induction                  (H,)    from 0 to 1
    ranks                      (H, 3)  effective ranks of the QK circuit, the OV circuit and the outputs
    utilisation                (H, 3)  the same, divided by the widths
    copying                    (H,)    from -1 to 1
    composition                .earlier, .later, .kind, .score, .baseline, .deviation, .excess (K,)
    fairness                   of the Shapley values, or without these of the ablations by mean: .per_column,
                               .per_parameter (H,), .lorenz (H+1, 2), .gini
    part_names                 the parts of the model that write to the logits
    attribution                (n, parts)  what each adds to the logit of the character that came, less the
                               mean logit
    film                       how some measures have changed in training; None if not asked for
    """

    run: dict[str, Any]
    architecture: Architecture
    vocabulary: Vocabulary
    text: str
    source: str
    bits: Floats
    heads: tuple[Head, ...]
    ablations: Ablations
    shapley: Shapley | None
    gradient_importance: Floats
    patterns: Patterns
    uniform: Patterns
    induction: Floats
    ranks: Floats
    copying: Floats
    composition: Composition
    fairness: Fairness
    part_names: tuple[str, ...]
    attribution: Floats
    film: Film | None = None

    @property
    def utilisation(self) -> Floats:
        utilisation: Floats = self.ranks / np.array([[head.width] for head in self.heads])
        return utilisation


def xray(
    placed: PlacedModel,
    vocabulary: Vocabulary,
    ids: IdArray,
    source: str,
    run: dict[str, Any],
    listener: Listener,
    *,
    with_shapley: bool = False,
    snapshots: Mapping[int, Path] | None = None,
) -> Xray:
    """Look into a model on a text.

    ids           (n + 1,), n >= 1, in unsigned integers
    source        in words, where they are from
    run           what is known of the model, for `Xray`
    listener      is told what takes a while
    with_shapley  compute the Shapley values, which takes minutes for a large model or a long text
    snapshots     make a film of these files, by their steps

    Raises MicrogptError where the text is too short, or the losses on it are not finite.
    """
    heads = heads_of(placed.architecture)
    reading = _read(placed, ids, listener)
    strings = repeated_strings(len(vocabulary), placed.architecture.seq_len)
    p = views(placed.k.to_host(placed.param), table(placed.architecture.sizes))
    of_text, uniform = patterns(reading, heads, vocabulary)
    without, values = _worth(placed, ids, listener, with_shapley=with_shapley)
    bits = without.mean.bits if values is None else values.bits
    k, architecture = placed.k, placed.architecture
    return Xray(
        run=run,
        architecture=placed.architecture,
        vocabulary=vocabulary,
        text=vocabulary.decode(ids),
        source=source,
        bits=reading.losses / math.log(2),
        heads=heads,
        ablations=without,
        shapley=values,
        gradient_importance=gradient_importance(reading, heads),
        patterns=of_text,
        uniform=uniform,
        induction=induction(_read(placed, strings, listener), heads),
        ranks=ranks(reading, heads, p),
        copying=copying(p, heads),
        composition=composition(p, heads),
        fairness=fairness(bits, heads, placed.architecture.d_model),
        part_names=tuple(part_names(heads, p)),
        attribution=attribution(reading, heads, p, ids),
        film=film(k, architecture, vocabulary, snapshots, ids, listener) if snapshots else None,
    )


def _read(placed: PlacedModel, ids: IdArray, listener: Listener) -> Reading:
    reader = Reader(placed, ids)
    compiled(listener, reader.compile)
    return reader.read()


def _worth(
    placed: PlacedModel, ids: IdArray, listener: Listener, *, with_shapley: bool
) -> tuple[Ablations, Shapley | None]:
    """What heads are worth in bits."""

    def show(done: int, total: int) -> None:
        listener.working("switching each head off in two ways", f"{done} of {total}")

    n_threads = available_cores() if with_shapley else 1
    try:
        coalitions = Coalitions(placed, ids, n_threads=n_threads)
        compiled(listener, coalitions.compile)
        without = ablations(coalitions, show)
        listener.idle()
        return without, shapley(coalitions, listener=listener) if with_shapley else None
    finally:
        placed.k.set_threads(1)
