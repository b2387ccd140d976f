"""n-grams in a checkpoint: what was saved is what is loaded, and what no text has is refused."""

import dataclasses
import math

import numpy as np
import pytest
import safetensors
from saved_examples import (
    VOCABULARY,
    arrays_of,
    forge,
    model_of,
    refused,
    same_model,
    set_key,
    set_tensor,
    state_of,
    without_key,
    without_tensor,
)

from microgpt.checkpoint.saved import MODEL_FILE, STATE_FILE, load_model, load_state
from microgpt.checkpoint.stored_ngrams import COUNTS, KEYS, stored
from microgpt.checkpoint.writing import save_model, save_state
from microgpt.text.ngrams import fit, highest_order

V, ORDER = len(VOCABULARY), 4
IDS = np.random.default_rng(0).integers(0, V, 300).astype(np.uint8)
NGRAMS = fit(IDS, V, ORDER)
BASE = V + 1


def same_ngrams(one, other):
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def saved(path, ngrams=NGRAMS, weight=1 / 3):
    model = dataclasses.replace(model_of(), ngrams=ngrams, ngram_weight=weight)
    param, _, _ = arrays_of(model)
    save_model(path, model, param)
    return model, param


@pytest.mark.parametrize("order", [1, 2, ORDER, highest_order(V, 99)])
@pytest.mark.parametrize("n", [1, 2, 300])
def test_what_was_saved_is_loaded(tmp_path, order, n):
    path = tmp_path / "x.safetensors"
    model, param = saved(path, fit(IDS[:n], V, order))
    found = load_model(path)
    assert same_model(found, model, param)
    assert same_ngrams(found.ngrams, model.ngrams)
    assert found.ngram_weight == 1 / 3


@pytest.mark.parametrize("weight", [0.0, 5e-324, 0.1, 1.0])
def test_every_weight_comes_back(tmp_path, weight):
    saved(tmp_path / "x.safetensors", weight=weight)
    assert load_model(tmp_path / "x.safetensors").ngram_weight == weight
    state = dataclasses.replace(state_of(ngrams=ORDER), ngrams=NGRAMS, ngram_weight=weight)
    save_state(tmp_path, state, *arrays_of(state))
    assert load_state(tmp_path).ngram_weight == load_model(tmp_path).ngram_weight == weight


def test_before_weights_were_fitted_they_were_a_half(tmp_path):
    """Format 4 had n-grams without a weight, and the states beside them were of format 3."""

    def older(tensors, described):
        described.update(format=4, ngrams={"order": ORDER})

    def older_state(tensors, described):
        described.update(format=3)
        del described["ngrams"]

    state = dataclasses.replace(state_of(ngrams=ORDER), ngrams=NGRAMS, ngram_weight=0.25)
    save_state(tmp_path, state, *arrays_of(state))
    forge(tmp_path / MODEL_FILE, older)
    forge(tmp_path / STATE_FILE, older_state)
    found = load_model(tmp_path)
    assert same_ngrams(found.ngrams, NGRAMS)
    assert (found.ngram_weight, load_state(tmp_path).ngram_weight) == (0.5, 0.5)


def test_ngrams_of_more_than_a_block_are_read_in_blocks(tmp_path, monkeypatch):
    model, _ = saved(tmp_path / "x.safetensors")
    monkeypatch.setattr("microgpt.arrays.BLOCK", 7)
    monkeypatch.setattr("microgpt.checkpoint.file.BLOCK", 7)
    assert same_ngrams(load_model(tmp_path / "x.safetensors").ngrams, model.ngrams)


def test_a_file_without_ngrams_has_none(tmp_path):
    saved(tmp_path / "x.safetensors", None)
    assert load_model(tmp_path / "x.safetensors").ngrams is None


def test_the_state_of_a_run_has_no_copy(tmp_path):
    state = dataclasses.replace(state_of(ngrams=ORDER), ngrams=NGRAMS, ngram_weight=0.25)
    state = dataclasses.replace(state, progress=dataclasses.replace(state.progress, network_val_loss=1 / 3))
    save_state(tmp_path, state, *arrays_of(state))
    assert same_ngrams(load_model(tmp_path / MODEL_FILE).ngrams, NGRAMS)
    found = load_state(tmp_path)
    assert (found.ngrams, found.config.ngrams, found.ngram_weight) == (None, ORDER, 0.25)
    assert found.progress == state.progress
    with safetensors.safe_open(tmp_path / STATE_FILE, "numpy") as file:
        assert not {KEYS, COUNTS} & set(file.keys())


def replaced(keys=None, counts=None):
    """A change of the arrays, for `forge`."""

    def change(tensors, described):
        for name, function in ((KEYS, keys), (COUNTS, counts)):
            if function is not None:
                tensors[name] = function(tensors[name].copy())

    return change


def at(place, value):
    def change(array):
        array[place] = value
        return array

    return change


def of_order(order):
    return set_key("ngrams", {"order": order, "weight": 0.5})


def of_weight(weight):
    return set_key("ngrams", {"order": ORDER, "weight": weight})


WEIGHTS = [math.nan, math.inf, -math.inf, -1e-9, 1.0000001, 2, -1, True, None, "0.5", [0.5], 10**400]
WEIGHT = "the weight of its n-grams must be a number from 0 to 1, not "


ASCENDING = f"its n-grams are not {ORDER}-grams of {V} characters in ascending order"
COUNTED = "its n-grams are counted less than once, or more often than any text has them"
BEGINNING = "its n-grams have characters before the beginning of the text"
FORGED = [
    (replaced(keys=at(0, -1)), ASCENDING),
    (replaced(keys=at(-1, BASE**ORDER)), ASCENDING),
    (replaced(keys=at(-1, np.iinfo(np.int64).max)), ASCENDING),
    (replaced(keys=lambda keys: keys[::-1].copy()), ASCENDING),
    (replaced(keys=lambda keys: np.repeat(keys[:1], len(keys))), ASCENDING),
    (replaced(counts=at(3, 0)), COUNTED),
    (replaced(counts=at(3, -5)), COUNTED),
    (replaced(counts=at([3, 4], 2**30 - 1000)), None),
    (replaced(counts=at([3, 4], 2**30)), COUNTED),
    # the last character missing, and a gap between characters
    (replaced(keys=at(0, 0)), BEGINNING),
    (replaced(keys=at(0, BASE)), BEGINNING),
    (replaced(keys=lambda keys: np.sort(np.append(keys[1:], BASE**2 + 1))), BEGINNING),
    (replaced(lambda keys: keys[:-1], lambda counts: counts[:-1]), None),
    (
        replaced(counts=lambda counts: counts[:-1]),
        "tensor 'ngrams.counts' is int32 (296,), not int32 (297",
    ),
    (replaced(lambda keys: keys[:0], lambda counts: counts[:0]), "it has no n-grams, and a text has some"),
    (replaced(keys=lambda keys: keys[:, None]), "the tensor 'ngrams.keys' is int64 ("),
    (replaced(keys=lambda keys: keys.astype(np.int32)), "the tensor 'ngrams.keys' is int32 "),
    (replaced(counts=lambda counts: counts.astype(np.float64)), "the tensor 'ngrams.counts' is float64 "),
    (without_tensor(KEYS), "the tensor 'ngrams.keys' is missing"),
    (without_tensor(COUNTS), "the tensor 'ngrams.counts' is missing"),
    (without_key("ngrams"), "its model has no place for the tensor 'ngrams.counts'"),
    (set_key("ngrams", None), "its metadata have no valid entry 'ngrams'"),
    (set_key("ngrams", {}), f"its n-grams cannot be of order None, with {V} distinct characters"),
    *((of_order(o), f"its n-grams cannot be of order {o}, with") for o in (0, -1, True, 2.0, 10**30, 99)),
    (of_order(ORDER - 1), f"its n-grams are not {ORDER - 1}-grams of {V} characters"),
    *((of_weight(weight), WEIGHT) for weight in WEIGHTS),
    (set_key("ngrams", {"order": ORDER}), WEIGHT + "None"),
    *((of_weight(weight), None) for weight in (0, 1, 0.3)),
    (set_tensor("tok", np.zeros((V, 6), np.int64)), "the tensor 'tok' is int64 "),
]


@pytest.mark.parametrize(("change", "message"), FORGED, ids=map(str, range(len(FORGED))))
def test_what_no_text_has_is_refused(tmp_path, change, message):
    path = tmp_path / "x.safetensors"
    saved(path)
    forge(path, change)
    if message is None:
        assert load_model(path).ngrams.next([1, 2]).sum() == pytest.approx(1)
    else:
        assert message in refused(load_model, path)


def test_a_state_with_ngrams_of_its_own_is_refused(tmp_path):
    state = state_of()
    save_state(tmp_path, state, *arrays_of(state))
    forge(tmp_path / STATE_FILE, set_key("ngrams", {"order": 1}))
    forge(tmp_path / STATE_FILE, set_key("format", 4))
    assert "no valid entry 'ngrams'" in refused(load_state, tmp_path / STATE_FILE)
    forge(tmp_path / STATE_FILE, set_key("format", 5))
    assert WEIGHT + "None" in refused(load_state, tmp_path / STATE_FILE)
    # only the state of a run with n-grams has their weight, and it always does
    forge(tmp_path / STATE_FILE, set_key("ngrams", {"weight": 0.5}))
    assert "no valid entry 'ngrams'" in refused(load_state, tmp_path / STATE_FILE)
    state = dataclasses.replace(state_of(ngrams=ORDER), ngrams=NGRAMS, ngram_weight=0.25)
    save_state(tmp_path, state, *arrays_of(state))
    forge(tmp_path / STATE_FILE, without_key("ngrams"))
    assert "no valid entry 'ngrams'" in refused(load_state, tmp_path / STATE_FILE)
    save_state(tmp_path, state, *arrays_of(state))
    forge(tmp_path / STATE_FILE, lambda tensors, described: tensors.update(stored(NGRAMS)))
    assert "no place for the tensor 'ngrams." in refused(load_state, tmp_path / STATE_FILE)


def test_a_damaged_table_is_noticed(tmp_path):
    path = tmp_path / "x.safetensors"
    saved(path)
    content = bytearray(path.read_bytes())
    with safetensors.safe_open(path, "numpy") as file:
        for array in stored(NGRAMS).values():
            assert array.tobytes() in content
        assert np.array_equal(file.get_tensor(KEYS), stored(NGRAMS)[KEYS])
    place = content.index(stored(NGRAMS)[KEYS].tobytes()) + 1600
    content[place] ^= 1
    path.write_bytes(content)
    assert "do not match its checksum" in refused(load_model, path)
