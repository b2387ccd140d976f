"""A new run from saved weights: the same function to begin with, with other options, texts and characters."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from microgpt_kernels import load
from reporters import Silent, resume
from support import placed

from microgpt.arrays import Array
from microgpt.checkpoint.saved import load_model
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import initial, table
from microgpt.recipes import RECIPES
from microgpt.text.reading import encode_file
from microgpt.text.vocabulary import Vocabulary
from microgpt.training.train import train
from microgpt.training.warm_start import options_of, starting_weights
from microgpt.use.evaluate import Evaluator

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 12
SIZES = RECIPES["plain"] | {
    "backend": "reference", "seq_len": 10, "d_model": 6, "heads": "1+2+3", "n_layers": 1,
}  # fmt: skip


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "new.txt").write_text("The cat & the dog: a Tale!\n" * 12)
    train(TrainConfig(file="text.txt", steps=30, out="run", **SIZES | {"lr": 0.01}), Silent())
    return load_model(tmp_path / "run")


class Loaded(NamedTuple):
    """Saved weights that were never in a file."""

    architecture: Architecture
    vocabulary: Vocabulary
    param: Array


def score(architecture, vocabulary, param, file):
    """The loss over the characters of a file that a vocabulary has."""
    model = placed(load("reference"), architecture, Budget(None), param)
    ids = encode_file(file, vocabulary, model.budget, skip_unknown=True).ids
    return Evaluator(model, ids).score().nats


def begin(saved, file, **options):
    config = TrainConfig(file=file, out="new", weights="run", **SIZES | options_of(saved) | options)
    return config, train(config, Silent(), weights=saved, extend_vocabulary=file == "new.txt")


def test_it_goes_on_from_the_weights(saved, tmp_path):
    config, result = begin(saved, "text.txt", steps=1, lr=1e-9)
    after = load_model(tmp_path / "new")
    assert after.vocabulary == saved.vocabulary
    assert np.abs(after.param - saved.param).max() < 1e-8
    assert (result.step, config.seq_len) == (1, 10)
    # such a run resumes as any other
    assert resume(replace(config, steps=3), Silent(), tmp_path / "new").step == 3


def test_new_characters_change_nothing_between_the_old_ones(saved, tmp_path):
    begin(saved, "new.txt", steps=1, lr=1e-9)
    after = load_model(tmp_path / "new")
    assert set(after.vocabulary.characters) == set(TEXT) | set("The cat & the dog: a Tale!\n")
    # over the old characters, the softmax has more to share out among
    before = score(saved.architecture, saved.vocabulary, saved.param, tmp_path / "text.txt")
    assert (
        before < score(after.architecture, after.vocabulary, after.param, tmp_path / "text.txt") < before + 1
    )


def test_without_positions_a_window_may_grow(saved, tmp_path):
    longer = TrainConfig(file="x", **SIZES | {"seq_len": 20, "positions": "rope"}).architecture(
        len(saved.vocabulary)
    )
    rope = TrainConfig(file="x", **SIZES | {"positions": "rope"}).architecture(len(saved.vocabulary))
    param = initial(table(rope.sizes), 7, rope.dtype)
    moved = starting_weights(Loaded(rope, saved.vocabulary, param), longer, saved.vocabulary, 0)
    assert np.array_equal(moved, param)


def test_other_sizes_are_refused(saved):
    with pytest.raises(MicrogptError, match=r"keeps the sizes .*: --seq-len was 10 and is now 5$"):
        begin(saved, "text.txt", steps=1, seq_len=5)
    wide = {"d_model": 12, "d_ff": 12, "heads": "12"}
    with pytest.raises(
        MicrogptError, match=r"--d-model was 6 and is now 12; --d-ff was 6 and is now 12; --heads"
    ):
        begin(saved, "text.txt", steps=1, **wide)


def test_unknown_characters_are_one_sentence(saved):
    config = TrainConfig(file="new.txt", out="new", **SIZES | options_of(saved))
    with pytest.raises(
        MicrogptError, match=r"the model does not know .*'!' \(U\+0021\).*; --extend-vocabulary adds them"
    ):
        train(config, Silent(), weights=saved)
