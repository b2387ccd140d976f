"""Checkpoints: exact, whole at any instant, and proof against whatever else a file may hold."""

import dataclasses
import errno
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgpt import checkpoint
from microgpt.checkpoint import (
    BEST_FILE,
    MODEL_FILE,
    STATE_FILE,
    SavedModel,
    SavedState,
    check_resumable,
    load_model,
    load_state,
    save_model,
    save_state,
)
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.files import write_atomically
from microgpt.parameters import count, table
from microgpt.text import Vocabulary

VOCABULARY = Vocabulary('\0\n !"abà€\U0001f600')
SHA = "ab" * 32
# values that decimal text or a change of precision would lose
PROGRESS = {"loss": 0.1 + 0.2, "tiny": 5e-324, "none": None, "infinite": math.inf, "list": [1, 1 / 3]}


def train_of(**options):
    sizes = {"seq_len": 4, "d_model": 6, "n_layers": 2, "heads": "1+2+3 | 6", "d_ff": 5}
    return TrainConfig(**{"file": "tales.txt", "lr": 1 / 3000, **sizes, **options}).resolved()


def state_of(seed=0, step=7, **options):
    train = train_of(**options)
    config = train.model(len(VOCABULARY))
    random = np.random.default_rng(seed)
    param, m, v = random.normal(size=(3, count(table(config.sizes)))).astype(config.dtype)
    model = SavedModel(config, VOCABULARY, param, {"text_sha256": SHA, "loss": 2.5, "text": "täles"})
    return SavedState(model, train, m, v**2, step, PROGRESS)


def same_model(a, b):
    arrays = a.param.tobytes() == b.param.tobytes() and a.param.dtype == b.param.dtype
    return arrays and (a.config, a.vocabulary, a.notes) == (b.config, b.vocabulary, b.notes)


def same_state(a, b):
    arrays = a.m.tobytes() == b.m.tobytes() and a.v.tobytes() == b.v.tobytes()
    others = (a.train, a.step, a.progress) == (b.train, b.step, b.progress)
    return same_model(a.model, b.model) and arrays and others


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("positions", ["learned", "rope", "none"])
def test_what_was_saved_is_loaded_bit_for_bit(tmp_path, dtype, positions):
    state = state_of(dtype=dtype, positions=positions, schedule="cosine", threads=2)
    # the sign of zero, the smallest number and the largest
    state.model.param[:4] = -0.0, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max, 1 / 3
    save_state(tmp_path / "a" / "run", state)
    run = tmp_path / "a" / "run"
    assert names(run) == [MODEL_FILE, STATE_FILE]
    save_model(run / BEST_FILE, state.model)
    for path in (run, run / MODEL_FILE, run / STATE_FILE, run / BEST_FILE):
        assert same_model(load_model(path), state.model)
    for path in (run, run / STATE_FILE):
        assert same_state(load_state(path), state)
        assert load_state(path).m.flags.writeable
    assert os.stat(run / MODEL_FILE).st_mode == os.stat(_touch(tmp_path / "plain")).st_mode


def _touch(path):
    path.write_bytes(b"")
    return path


@settings(deadline=None, max_examples=50)
@given(
    characters=st.sets(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    notes=st.dictionaries(
        st.text(), st.recursive(st.none() | st.floats(allow_nan=False) | st.text(), st.lists)
    ),
)
def test_any_vocabulary_and_notes_come_back(tmp_path_factory, characters, notes):
    config = train_of(d_model=1, heads="1", n_layers=1).model(len(characters))
    param = np.zeros(count(table(config.sizes)), np.float32)
    model = SavedModel(config, Vocabulary("".join(sorted(characters))), param, notes)
    path = tmp_path_factory.mktemp("any") / "x.safetensors"
    save_model(path, model)
    assert same_model(load_model(path), model)


def test_other_programs_can_read_the_weights(tmp_path):
    state = state_of()
    save_state(tmp_path, state)
    tensors = safetensors.numpy.load_file(tmp_path / MODEL_FILE)
    rows = table(state.model.config.sizes)
    assert tensors.keys() == {row.name for row in rows}
    for row in rows:
        assert tensors[row.name].shape == row.shape
        assert np.array_equal(tensors[row.name].ravel(), state.model.param[row.low : row.high])


# --- writing ----------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    save_state(tmp_path, old := state_of(seed=1))

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for module, function in ((os, "fsync"), (Path, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(module, function, lambda *_: full(None))
            with pytest.raises(MicrogptError) as error:
                save_state(tmp_path, state_of(seed=2))
        assert str(error.value) == f"cannot write {tmp_path / STATE_FILE}: No space left on device"
        assert names(tmp_path) == [MODEL_FILE, STATE_FILE]
        assert same_state(load_state(tmp_path), old)


def test_ctrl_c_while_writing_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    save_state(tmp_path, old := state_of(seed=1))

    def interrupt(file):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, state_of(seed=2))
    assert names(tmp_path) == [MODEL_FILE, STATE_FILE]
    assert same_state(load_state(tmp_path), old)


def test_a_crash_between_the_two_files_leaves_a_state_that_resumes(tmp_path, monkeypatch):
    save_state(tmp_path, old := state_of(seed=1))
    new = state_of(seed=2, step=8)
    replace = Path.replace

    def crash_at_the_model(self, target):
        if Path(target).name == MODEL_FILE:
            raise SystemExit
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", crash_at_the_model)
    with pytest.raises(SystemExit):
        save_state(tmp_path, new)
    assert same_state(load_state(tmp_path), new)
    assert same_model(load_model(tmp_path), old.model)


def test_the_file_is_whole_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(("sync", os.fstat(fd).st_size)), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (events.append(("name", b.name)), replace(a, b))[1])
    write_atomically(tmp_path / "x", b"12345")
    assert events[:2] == [("sync", 5), ("name", "x")]
    assert [kind for kind, _ in events] == ["sync", "name", "sync"]  # the last one is the directory


@pytest.mark.parametrize("blocked", ["a file where a directory should be", "a directory of that name"])
def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path, blocked):
    if blocked.startswith("a file"):
        path = _touch(tmp_path / "run") / MODEL_FILE
    else:
        (path := tmp_path / MODEL_FILE).mkdir()
    before = names(tmp_path)
    with pytest.raises(MicrogptError, match=f"^cannot write {re.escape(str(path))}: [A-Z][a-z ]+$"):
        save_model(path, state_of().model)
    assert names(tmp_path) == before


# --- reading ----------------------------------------------------------------------------------------


def refused(function, path):
    """The message of the error, which must be one line that names the file."""
    with pytest.raises(MicrogptError) as error:
        function(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


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
    save_model(tmp_path / MODEL_FILE, state_of().model)
    assert "holds a model but no training state" in refused(load_state, tmp_path / MODEL_FILE)
    os.mkfifo(tmp_path / "pipe")
    assert "there is no such file" in refused(load_model, tmp_path / "pipe")


def test_a_file_without_permission_is_one_sentence(tmp_path, monkeypatch):
    save_model(tmp_path / MODEL_FILE, state_of().model)

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(safetensors, "safe_open", denied)
    assert refused(load_model, tmp_path).endswith("cannot be read: Permission denied")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a state file."""
    directory = tmp_path_factory.mktemp("whole")
    save_state(directory, state_of())
    return (directory / STATE_FILE).read_bytes()


ANYTHING = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def load_bytes(directory, content):
    path = directory / "x.safetensors"
    path.write_bytes(content)
    return load_state(path)


def test_a_file_that_ends_too_early_is_refused_wherever_it_ends(tmp_path, whole):
    for length in (*range(1200), *range(1200, len(whole), 61), len(whole) - 1):
        with pytest.raises(MicrogptError, match=r"x\.safetensors is damaged"):
            load_bytes(tmp_path, whole[:length])


@ANYTHING
@given(data=st.data())
def test_a_damaged_file_is_refused_or_means_the_same(tmp_path, whole, data):
    damaged = bytearray(whole)
    # half of the damage in the header, where it can do the most
    places = st.integers(0, 3000) | st.integers(0, len(whole) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        damaged[place] = byte
    try:
        state = load_bytes(tmp_path, bytes(damaged))
    except MicrogptError:
        return
    assert same_state(state, state_of())


@ANYTHING
@given(content=st.binary(max_size=200), header=st.booleans())
def test_noise_is_refused(tmp_path, content, header):
    if header:
        content = len(content).to_bytes(8, "little") + content
    with pytest.raises(MicrogptError, match=r"x\.safetensors"):
        load_bytes(tmp_path, content)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(3)}, path)
    assert refused(load_model, path).endswith("is not a usable checkpoint: it was not written by microgpt")
    safetensors.numpy.save_file({"x": np.zeros(3)}, path, {"microgpt": "²", "format": "pt"})
    assert "it was not written by microgpt" in refused(load_model, path)
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{" + b" " * 100)
    assert "is damaged, or no safetensors file" in refused(load_model, path)
    path.write_text("First Citizen:\nBefore we proceed any further, hear me speak.")
    assert "is damaged, or no safetensors file" in refused(load_model, path)


# Files that are wrong in spite of a right checksum: part of the message, change of tensors and metadata.
def _json(key, **changes):
    def change(tensors, metadata):
        metadata[key] = json.dumps({**json.loads(metadata[key]), **changes})

    return change


def _set(key, text):
    return lambda tensors, metadata: metadata.update({key: text})


def _tensor(name, array):
    return lambda tensors, metadata: tensors.update({name: array})


def _options(**changes):
    def change(tensors, metadata):
        training = json.loads(metadata["training"])
        training["options"].update(changes)
        metadata["training"] = json.dumps(training)

    return change


def _without(which, key):
    return lambda *both: both[which].pop(key)


TOK = np.zeros((len(VOCABULARY), 6), np.float32)
FORGED = [
    ("it has format 2; this version of microgpt reads 1", _set("microgpt", "2")),
    ("it has format 99999999999999999999; ", _set("microgpt", "9" * 1000)),
    ("the tensor 'tok' is missing", _without(0, "tok")),
    ("the tensor 'v.head_b' is missing", _without(0, "v.head_b")),
    ("no place for the tensor 'extra'", _tensor("extra", TOK)),
    ("the tensor 'tok' is float32 (1, 6), not float32 (10, 6)", _tensor("tok", TOK[:1])),
    ("the tensor 'm.tok' is float64 (10, 6), not float32", _tensor("m.tok", TOK.astype(np.float64))),
    ("the tensor 'tok' is of type I32, not F32 or F64", _tensor("tok", TOK.astype(np.int32))),
    ("its weights are not all finite numbers", _tensor("tok", TOK + np.nan)),
    ("its first moments are not all finite", _tensor("m.tok", TOK + np.inf)),
    ("its second moments are not all finite", _tensor("v.tok", TOK - np.inf)),
    ("its vocabulary has 9 characters, but its model 10", _set("vocabulary", VOCABULARY.characters[1:])),
    ("distinct and sorted", _set("vocabulary", VOCABULARY.characters[::-1])),
    ("a vocabulary needs at least one character", _without(1, "vocabulary")),
    ("its metadata have no valid entry 'model'", _without(1, "model")),
    ("its metadata have no valid entry 'model'", _set("model", "{")),
    ("its metadata have no valid entry 'model'", _set("model", "[1]")),
    ("its metadata have no valid entry 'notes'", _set("notes", "[" * 100_000)),
    ("its metadata have no valid entry 'notes'", _set("notes", '{"a": ' + "9" * 10_000 + "}")),
    ("do not describe a model", _json("model", d_model="6")),
    ("do not describe a model", _json("model", n_layers=True)),
    ("do not describe a model", _json("model", n_layers=2.0)),
    ("do not describe a model", _json("model", more=1)),
    ("do not describe a model", _json("model", heads=5)),
    ("do not describe a model", _json("model", heads=[[6], 6])),
    ("do not describe a model", _json("model", heads=[[6], ["6"]])),
    ("do not sum to d_model", _json("model", heads=[[6], [3, 2]])),
    ("do not describe a model", _json("model", heads=[[6], []])),
    ("do not sum to d_model", _json("model", heads=[[6], [7, -1]])),
    ("is none of learned", _json("model", positions="else")),
    ("is none of float32", _json("model", dtype="object")),
    ("the tensor 'tok' is float32", _json("model", vocabulary_size=10**10)),
    ("do not describe a training state", _json("training", step=1.0)),
    ("do not describe a training state", _json("training", options=None)),
    ("do not describe a training state", _json("training", progress=[])),
    ("its step -1 is no number of steps", _json("training", step=-1)),
    ("is no number of steps", _json("training", step=1 << 63)),
    ("unknown key 'stepps'", _options(stepps=3)),
    ("should be of type float", _options(lr="fast")),
    ("--lr must be at least 0", _options(lr=-1.0)),
    ("its training options name no text", _json("training", options={})),
    ("its model is not the one that its training options describe", _options(seq_len=5)),
]


@pytest.mark.parametrize(("message", "change"), FORGED, ids=[str(i) for i in range(len(FORGED))])
def test_a_file_that_contradicts_itself_is_refused(tmp_path, message, change):
    save_state(tmp_path, state_of())
    path = tmp_path / STATE_FILE
    with safetensors.safe_open(path, "numpy") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    change(tensors, metadata)
    metadata["sha256"] = checkpoint._checksum(tensors, metadata)
    safetensors.numpy.save_file(tensors, path, metadata)
    assert message in refused(load_state, path)


def test_what_cannot_be_loaded_is_not_saved():
    state = state_of()
    state.model.param[3] = np.nan
    with pytest.raises(MicrogptError, match="its weights are not all finite numbers"):
        dataclasses.replace(state.model)
    with pytest.raises(MicrogptError, match="which does not fit its model"):
        dataclasses.replace(state_of(), m=state.m[1:])


# --- resuming ---------------------------------------------------------------------------------------


def resume(state, sha=SHA, **options):
    train = dataclasses.replace(state.train, **options)
    check_resumable(state, train.model(len(VOCABULARY)), train, sha)


def test_what_changes_no_number_may_change():
    resume(state_of())
    free = {"backend": "openblas", "threads": 3, "memory_cap": "1GiB", "out": "elsewhere", "file": "same.txt"}
    resume(state_of(), steps=5000, sample_every=3, min_lr=1e-9, **free)
    resume(state_of(val_fraction=0.1), eval_every=3)
    # defaults written out or not
    train = TrainConfig(file="tales.txt", d_model=16, seq_len=4)
    config = train.model(len(VOCABULARY))
    zeros = np.zeros(count(table(config.sizes)), np.float32)
    state = SavedState(
        SavedModel(config, VOCABULARY, zeros, {"text_sha256": SHA}), train, zeros, zeros, 0, {}
    )
    check_resumable(state, config, train.resolved(), SHA)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.5}, "--lr was 0.0003333333333333333 and is now 0.5"),
        ({"seed": 1}, "--seed was 1337 and is now 1"),
        ({"seq_len": 5, "stride": 4}, "--seq-len was 4 and is now 5"),
        ({"stride": 2}, "--stride was 4 and is now 2"),
        ({"batch_size": 2}, "--batch-size was 1 and is now 2"),
        ({"order": "shuffled"}, "--order was sequential and is now shuffled"),
        ({"heads": "6"}, "--heads was 1+2+3 | 6 and is now 6"),
        ({"d_ff": 7}, "--d-ff was 5 and is now 7"),
        ({"positions": "rope"}, "--positions was learned and is now rope"),
        ({"dtype": "float64"}, "--dtype was float32 and is now float64"),
        ({"beta2": 0.9}, "--beta2 was 0.999 and is now 0.9"),
        ({"schedule": "cosine"}, "--schedule was constant and is now cosine"),
        ({"warmup": 5}, "--warmup was 0 and is now 5"),
        ({"clip": 0.0}, "--clip was 1.0 and is now 0.0"),
        ({"weight_decay": 0.1}, "--weight-decay was 0.0 and is now 0.1"),
        ({"val_fraction": 0.1}, "--val-fraction was 0.0 and is now 0.1"),
        ({"steps": 6}, "--steps 6 is less than the 7 that are done"),
        (
            {"sha": "cd" * 32, "file": "b.txt"},
            "the text b.txt is not the one that it was trained on, tales.txt",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_changes_the_numbers_is_refused(options, message):
    with pytest.raises(MicrogptError) as error:
        resume(state_of(), **options)
    assert str(error.value) == (
        f"this run cannot be resumed exactly: {message}; "
        "resume it as it was, or start a new run with another --out"
    )


def test_every_difference_is_listed():
    with pytest.raises(MicrogptError) as error:
        resume(state_of(), sha="", seed=1, lr=0.5, clip=2.0)
    for name in ("--seed", "--lr", "--clip", "the text"):
        assert name in str(error.value)


def test_the_steps_of_a_cosine_are_part_of_it():
    state = state_of(schedule="cosine", steps=100)
    resume(state)
    with pytest.raises(
        MicrogptError, match="--steps was 100 and is now 200, which the cosine schedule depends on"
    ):
        resume(state, steps=200)
    with pytest.raises(MicrogptError, match="--min-lr was"):
        resume(state, min_lr=0.0)


def test_another_vocabulary_is_another_model():
    state = state_of()
    with pytest.raises(MicrogptError, match="the model's sizes have changed"):
        check_resumable(state, state.train.model(len(VOCABULARY) + 1), state.train, SHA)
