"""The X-ray as JSON: the shape that pages rely on, and numbers that JSON has."""

import json

import numpy as np
import pytest
from heads_by_hand import KINDS, random_model, text_of, xray_of

from microgpt.xray import as_json as module
from microgpt.xray.as_json import as_json, number, numbers


@pytest.fixture(scope="module")
def found():
    return xray_of(random_model(**KINDS["learned"]), text_of(50), with_shapley=True)


def test_every_number_has_its_place(found):
    told = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert list(told) == [
        "format", "run", "architecture", "text", "source", "bits", "total", "heads", "uniform",
        "interactions", "composition", "fairness", "lorenz", "gini", "attribution", "film",
    ]  # fmt: skip
    assert told["architecture"] == {
        "vocabulary": "\n abcdé", "T": 7, "C": 6, "F": 5, "L": 2, "positions": "learned",
        "activation": "relu", "token_shift": False, "attention_scale": "sqrt",
    }  # fmt: skip
    head = told["heads"][1]
    assert (head["layer"], head["head"], head["width"], head["first_column"]) == (0, 1, 2, 1)
    assert set(head) == {
        "layer", "head", "width", "first_column", "ablation", "shapley", "gradient_importance", "patterns",
        "entropy", "entropy_of_uniform", "reach", "rank", "utilisation", "copying", "bits_per_column",
        "bits_per_parameter",
    }  # fmt: skip
    assert head["ablation"]["zero"]["low"] == pytest.approx(found.ablations.zero.low[1], rel=1e-5)
    assert head["patterns"]["previous"] == head["patterns"]["offsets"][0]
    assert head["patterns"]["offsets"][7] is None  # windows of 7 have nothing 8 places before
    assert head["patterns"].keys() - told["uniform"]["patterns"].keys() == {"induction"}
    assert head["rank"]["ov"] == pytest.approx(2 * head["utilisation"]["ov"], rel=1e-5)
    assert told["fairness"] == "shapley"
    assert np.shape(told["interactions"]) == (4, 4)
    assert np.shape(told["attribution"]["logits"]) == (49, len(told["attribution"]["parts"]))
    assert len(told["bits"]) == len(told["text"]) - 1
    assert told["total"]["gain"] == pytest.approx(
        told["total"]["without_attention"] - told["total"]["bits"], abs=1e-4
    )
    assert [(pair["from"], pair["to"], pair["kind"]) for pair in told["composition"][:4]] == [
        (0, 3, "q"), (0, 3, "k"), (0, 3, "v"), (1, 3, "q"),
    ]  # fmt: skip


def test_of_many_pairs_those_that_compose_most_are_told(found, monkeypatch):
    monkeypatch.setattr(module, "MOST_PAIRS", 2)
    told = as_json(found)["composition"]
    assert sorted(pair["excess"] for pair in told) == pytest.approx(
        sorted(found.composition.excess)[-2:], rel=1e-5
    )


def test_what_is_no_number_is_null():
    assert number(np.nan) is number(-np.inf) is None
    assert number(1 / 3e7) == 3.33333e-08
    assert numbers(np.array([[1.0, np.nan], [2.0, 0.5]])) == [[1, None], [2, 0.5]]
