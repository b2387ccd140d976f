"""The X-ray as JSON: what `microgpt xray --json` prints and what a page has in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgpt.arrays import Array
from microgpt.xray.ablation import Change
from microgpt.xray.composition import KINDS
from microgpt.xray.film import Film
from microgpt.xray.patterns import OTHERS, Patterns
from microgpt.xray.shapley import Shapley
from microgpt.xray.xray import Xray

FORMAT = 1
# A model of narrow heads has very many pairs of heads of different layers. These are the ones that compose
# most; the arrays in `Xray.composition` have all.
MOST_PAIRS = 1000
RANKS = ("qk", "ov", "outputs")


def as_json(xray: Xray) -> dict[str, Any]:
    """The X-ray as objects that JSON has, by the names that `Xray` explains.

    Heads, layers and pairs are counted from 0, except in names such as "1.1". Losses are in bits per
    character. Numbers have six digits; where there are some for each character, four or three behind the
    decimal point. What could not be measured is null. `fairness` says which bits those for each column and
    parameter are of.
    """
    architecture, without = xray.architecture, xray.ablations
    of_shapley = xray.shapley is not None
    return {
        "format": FORMAT,
        "run": xray.run,
        "architecture": {
            "vocabulary": xray.vocabulary.characters,
            **{letter: architecture.sizes[letter] for letter in "TCFL"},
            **{
                name: getattr(architecture, name)
                for name in ("positions", "activation", "token_shift", "attention_scale")
            },
        },
        "text": xray.text,
        "source": xray.source,
        "bits": _rounded(xray.bits, 4),
        "total": {
            "bits": number(without.all_on),
            "without_attention": number(without.all_off),
            "gain": number(without.all_off - without.all_on),
        },
        "heads": [_head(xray, h) for h in range(len(xray.heads))],
        "uniform": {
            "patterns": _patterns(xray.uniform, 0),
            "entropy": number(xray.uniform.entropy[0]),
            "reach": number(xray.uniform.reach[0]),
        },
        "interactions": None
        if xray.shapley is None or xray.shapley.interactions is None
        else numbers(xray.shapley.interactions),
        "composition": _pairs(xray),
        "fairness": "shapley" if of_shapley else "ablation",
        "lorenz": numbers(xray.fairness.lorenz),
        "gini": number(xray.fairness.gini),
        "attribution": {"parts": list(xray.part_names), "logits": _rounded(xray.attribution, 3)},
        "film": None if xray.film is None else _film(xray.film),
    }


def _head(xray: Xray, h: int) -> dict[str, Any]:
    head, without = xray.heads[h], xray.ablations
    return {
        "layer": head.layer,
        "head": head.number,
        "width": head.width,
        "first_column": head.low,
        "ablation": {"mean": _with_interval(without.mean, h), "zero": _with_interval(without.zero, h)},
        "shapley": None if xray.shapley is None else _with_interval(xray.shapley, h),
        "gradient_importance": number(xray.gradient_importance[h]),
        "patterns": _patterns(xray.patterns, h) | {"induction": number(xray.induction[h])},
        "entropy": number(xray.patterns.entropy[h]),
        "entropy_of_uniform": number(xray.uniform.entropy[0]),
        "reach": number(xray.patterns.reach[h]),
        "rank": dict(zip(RANKS, numbers(xray.ranks[h]), strict=True)),
        "utilisation": dict(zip(RANKS, numbers(xray.utilisation[h]), strict=True)),
        "copying": number(xray.copying[h]),
        "bits_per_column": number(xray.fairness.per_column[h]),
        "bits_per_parameter": number(xray.fairness.per_parameter[h]),
    }


def _film(film: Film) -> dict[str, Any]:
    """A list with a number for each step, to five places: of the model, and of each head."""

    def of_head(name: str, h: int) -> list[float | None]:
        return numbers(np.round(getattr(film, name)[:, h], 5))

    return {
        "steps": film.steps.tolist(),
        "bits": numbers(np.round(film.bits, 5)),
        "without_attention": numbers(np.round(film.without_attention, 5)),
        "heads": [
            {
                "ablation": of_head("ablation", h),
                "gradient_importance": of_head("gradient_importance", h),
                "patterns": {name: of_head(name, h) for name in ("previous", *OTHERS, "induction")},
                "entropy": of_head("entropy", h),
                "reach": of_head("reach", h),
            }
            for h in range(film.ablation.shape[1])
        ],
    }


def _with_interval(found: Change | Shapley, h: int) -> dict[str, float | None]:
    return {name: number(getattr(found, name)[h]) for name in ("bits", "low", "high")}


def _patterns(found: Patterns, h: int) -> dict[str, Any]:
    offsets = numbers(found.offsets[h])
    return {
        "previous": offsets[0],
        "offsets": offsets,
        **{name: number(getattr(found, name)[h]) for name in OTHERS},
    }


def _pairs(xray: Xray) -> list[dict[str, Any]]:
    found = xray.composition
    most = np.sort(np.argsort(-found.excess, kind="stable")[:MOST_PAIRS])
    names = ("score", "baseline", "deviation", "excess")
    return [
        {"from": int(found.earlier[i]), "to": int(found.later[i]), "kind": KINDS[found.kind[i]]}
        | {name: number(getattr(found, name)[i]) for name in names}
        for i in most
    ]


def _rounded(values: Array, decimals: int) -> list[Any]:
    """Numbers of which there are many, with so many digits behind the decimal point, and without -0."""
    rounded: list[Any] = (np.round(values.astype(np.float64), decimals) + 0.0).tolist()
    return rounded


def number(value: float) -> float | None:
    """A number of six significant digits, as JSON can have it: None for NaN and infinity."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def numbers(values: Array) -> list[Any]:
    """The same of every number of an array, in lists as deep as the array has dimensions."""
    if values.ndim > 1:
        return [numbers(row) for row in values]
    return [number(value) for value in values.tolist()]
