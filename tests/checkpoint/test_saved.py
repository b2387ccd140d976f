"""Checkpoints: what was saved is what is loaded, and a file that contradicts itself is refused."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_examples import (
    VOCABULARY,
    arrays_of,
    forge,
    in_part,
    in_training,
    model_of,
    names,
    refused,
    refused_when_forged,
    same_model,
    same_state,
    save,
    set_key,
    set_tensor,
    state_of,
    train_of,
    without_key,
    without_tensor,
)

from microgpt.checkpoint.saved import BEST_FILE, MODEL_FILE, STATE_FILE, SavedModel, load_model, load_state
from microgpt.checkpoint.writing import save_model, save_state
from microgpt.errors import MicrogptError
from microgpt.model.parameters import count, table
from microgpt.text.vocabulary import Vocabulary


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {"positions": "learned", "activation": "relu", "token_shift": False},
        {"positions": "rope", "activation": "relu2", "token_shift": True},
        {"positions": "none", "activation": "relu2", "attention_scale": "linear"},
    ],
    ids=lambda options: options["positions"],
)
def test_what_was_saved_is_loaded_bit_for_bit(tmp_path, dtype, options):
    state = state_of(dtype=dtype, schedule="cosine", threads=2, **options)
    param, m, v = arrays_of(state)
    # the sign of zero, the smallest number and the largest
    param[:4] = -0.0, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max, 1 / 3
    run = tmp_path / "a" / "run"
    save_state(run, state, param, m, v)
    assert names(run) == [MODEL_FILE, STATE_FILE]
    for path in (run, run / MODEL_FILE, run / STATE_FILE):
        assert same_model(load_model(path), state, param)
    for path in (run, run / STATE_FILE):
        assert same_state(load_state(path), state, (param, m, v))
        assert load_state(path).m.flags.writeable
    (tmp_path / "plain").touch()
    assert os.stat(run / MODEL_FILE).st_mode == os.stat(tmp_path / "plain").st_mode


@settings(deadline=None, max_examples=50)
@given(
    characters=st.sets(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    notes=st.dictionaries(
        st.text().filter(lambda key: key != "step"),
        st.recursive(st.none() | st.floats(allow_nan=False) | st.text(), st.lists),
    ),
)
def test_any_vocabulary_and_notes_come_back(tmp_path_factory, characters, notes):
    config = train_of(d_model=1, heads="1", n_layers=1).architecture(len(characters))
    param = np.zeros(count(table(config.sizes)), np.float32)
    model = SavedModel(architecture=config, vocabulary=Vocabulary("".join(sorted(characters))), notes=notes)
    path = tmp_path_factory.mktemp("any") / "x.safetensors"
    save_model(path, model, param)
    assert same_model(load_model(path), model, param)


def test_the_best_model_of_a_run_comes_before_the_last(tmp_path):
    save(tmp_path, step=9)
    best = model_of(step=5)
    save_model(tmp_path / BEST_FILE, best, param := arrays_of(best, 6)[0])
    assert same_model(load_model(tmp_path), best, param)
    assert load_model(tmp_path).path == tmp_path / BEST_FILE
    last = load_model(tmp_path, last=True)
    assert (last.path, last.notes["step"]) == (tmp_path / MODEL_FILE, 9)
    assert load_state(tmp_path).step == 9


def test_what_is_not_there_is_named(tmp_path):
    hint = (
        "is not a usable checkpoint: there is no such file; name a directory that `microgpt train` has made"
    )
    for function, run, path in (
        (load_model, tmp_path / "none", tmp_path / "none"),
        (load_model, tmp_path, tmp_path / MODEL_FILE),
        (load_state, tmp_path, tmp_path / STATE_FILE),
    ):
        assert refused(function, run) == f"{path} {hint}"
    assert "cannot be read: File name too long" in refused(load_model, tmp_path / ("x" * 300))
    save_model(tmp_path / MODEL_FILE, model := model_of(), arrays_of(model)[0])
    assert "holds a model but no training state" in refused(load_state, tmp_path / MODEL_FILE)
    os.mkfifo(tmp_path / "pipe")
    assert "there is no such file" in refused(load_model, tmp_path / "pipe")


TOK = np.zeros((len(VOCABULARY), 6), np.float32)
FORGED = [
    ("it has format 9; this version of microgpt reads 1 to 8", set_key("format", 9)),
    ("it has format 2.5; ", set_key("format", 2.5)),
    ("it has format None; ", without_key("format")),
    ("the tensor 'tok' is missing", without_tensor("tok")),
    ("the tensor 'v.unembed_b' is missing", without_tensor("v.unembed_b")),
    ("no place for the tensor 'extra'", set_tensor("extra", TOK)),
    ("no place for the tensor 'm.m.tok'", set_tensor("m.m.tok", TOK)),
    ("the tensor 'tok' is float32 (1, 6), not float32 (10, 6)", set_tensor("tok", TOK[:1])),
    ("the tensor 'm.tok' is float64 (10, 6), not float32", set_tensor("m.tok", TOK.astype(np.float64))),
    ("the tensor 'tok' is of type I16, not F32 or F64", set_tensor("tok", TOK.astype(np.int16))),
    ("the tensor 'tok' is int32 (10, 6), not float32", set_tensor("tok", TOK.astype(np.int32))),
    ("its weights are not all finite numbers", set_tensor("tok", TOK + np.nan)),
    ("its first moments are not all finite", set_tensor("m.tok", TOK + np.inf)),
    ("its second moments are not all finite", set_tensor("v.tok", TOK - np.inf)),
    ("its vocabulary has 9 characters, but its model 10", set_key("vocabulary", VOCABULARY.characters[1:])),
    ("distinct and sorted", set_key("vocabulary", VOCABULARY.characters[::-1])),
    ("its metadata have no valid entry 'vocabulary'", without_key("vocabulary")),
    ("its metadata have no valid entry 'vocabulary'", set_key("vocabulary", [*VOCABULARY.characters])),
    ("its metadata have no valid entry 'model'", without_key("model")),
    ("its metadata have no valid entry 'model'", set_key("model", [1])),
    ("its metadata have no valid entry 'notes'", set_key("notes", None)),
    ("its model: d_model = '6' should be a whole number", in_part("model", d_model="6")),
    ("its model: n_layers = True should be a whole number", in_part("model", n_layers=True)),
    ("its model: n_layers = 2.0 should be a whole number", in_part("model", n_layers=2.0)),
    ("its model: unknown key 'more'", in_part("model", more=1)),
    ("its model: heads = 5 should be lists of whole numbers", in_part("model", heads=5)),
    ("its model: heads = [[6], 6] should be", in_part("model", heads=[[6], 6])),
    ("its model: heads = [[6], ['6']] should be", in_part("model", heads=[[6], ["6"]])),
    ("its model: 'dtype' is missing", lambda tensors, described: described["model"].pop("dtype")),
    ("do not sum to d_model", in_part("model", heads=[[6], [3, 2]])),
    ("do not sum to d_model", in_part("model", heads=[[6], []])),
    ("do not sum to d_model", in_part("model", heads=[[6], [7, -1]])),
    ("is none of learned", in_part("model", positions="else")),
    ("is none of float32", in_part("model", dtype="object")),
    ("is none of relu2, relu", in_part("model", activation="gelu")),
    ("'activation' is missing", lambda tensors, described: described["model"].pop("activation")),
    ("its model is not the one that its training options", in_part("model", activation="relu2")),
    ("its model: token_shift = 1 should be true or false", in_part("model", token_shift=1)),
    ("'token_shift' is missing", lambda tensors, described: described["model"].pop("token_shift")),
    ("its model is not the one that its training options", in_part("model", token_shift=True)),
    ("is none of sqrt, linear", in_part("model", attention_scale="cubic")),
    ("'attention_scale' is missing", lambda tensors, described: described["model"].pop("attention_scale")),
    ("its model is not the one that its training options", in_part("model", attention_scale="linear")),
    ("--vocabulary-size can be at most 1114112, not 10000000000", in_part("model", vocabulary_size=10**10)),
    ("the tensor 'tok' is float32", in_part("model", vocabulary_size=10**6)),
    ("its step 1.0 is no number of steps", in_part("training", step=1.0)),
    ("its step -1 is no number of steps", in_part("training", step=-1)),
    ("is no number of steps", in_part("training", step=1 << 63)),
    ("its step 'x' is no number of steps", in_part("notes", step="x")),
    ("its metadata have no valid entry 'training'", set_key("training", 5)),
    ("its metadata have no valid entry 'training'", in_part("training", options=None)),
    ("its metadata have no valid entry 'training'", in_part("training", progress=[])),
    ("unknown key 'stepps'", in_training("options", stepps=3)),
    ("should be a number", in_training("options", lr="fast")),
    ("--lr must be at least 0", in_training("options", lr=-1.0)),
    ("--n-layers can be at most", in_training("options", n_layers=1 << 31)),
    ("its training options: 'file' is missing", in_part("training", options={})),
    ("its model is not the one that its training options describe", in_training("options", seq_len=5)),
]


@pytest.mark.parametrize(("message", "change"), FORGED, ids=[str(i) for i in range(len(FORGED))])
def test_a_file_that_contradicts_itself_is_refused(tmp_path, message, change):
    sentence = refused_when_forged(tmp_path, change)
    assert message in sentence
    assert len(sentence) < 300 + len(str(tmp_path / STATE_FILE))


def test_a_forger_who_changes_nothing_is_believed(tmp_path):
    state, arrays = save(tmp_path)
    forge(tmp_path / STATE_FILE, lambda tensors, described: None)
    assert same_state(load_state(tmp_path), state, arrays)


def test_a_file_that_is_replaced_after_it_was_looked_at_is_not_read(tmp_path):
    save(tmp_path, seed=1)
    state = load_state(tmp_path)
    save(tmp_path, seed=2)
    with pytest.raises(MicrogptError, match="another file has taken its place"):
        _ = state.param
