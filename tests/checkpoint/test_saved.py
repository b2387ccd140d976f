"""Checkpoints: exact, whole at any instant, and proof against whatever else a file may hold."""

import dataclasses
import errno
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from microgpt_kernels import reference
from support import peak_memory

from microgpt.checkpoint.progress import Progress
from microgpt.checkpoint.saved import (
    BEST_FILE,
    MODEL_FILE,
    STATE_FILE,
    SavedModel,
    SavedState,
    load_model,
    load_state,
)
from microgpt.checkpoint.writing import save_model, save_state
from microgpt.config import SIZES, TrainConfig
from microgpt.errors import MicrogptError, shown_path
from microgpt.files import write_atomically
from microgpt.model.parameters import count, table
from microgpt.text.reading import Text
from microgpt.text.vocabulary import Vocabulary
from microgpt.training.resuming import check_resumable

VOCABULARY = Vocabulary('\0\n !"abà€\U0001f600')
SHA = "ab" * 32
TEXT = Text(np.zeros(1234, np.uint8), VOCABULARY, SHA, Path("tales.txt"))
# values that decimal text or a change of precision would lose
PROGRESS = Progress(
    average=0.1 + 0.2, val_loss=5e-324, best_val_loss=1 / 3, best_step=None, loss_sum=-1e300, norm_sum=1e-9,
    count=3, evaluation_due=False,
)  # fmt: skip


def train_of(**options):
    sizes = {"seq_len": 4, "d_model": 6, "n_layers": 2, "heads": "1+2+3 | 6", "d_ff": 5}
    return TrainConfig(**{"file": "tales.txt", "lr": 1 / 3000, **sizes, **options})


def state_of(step=7, **options):
    config = train_of(**options)
    notes = {"text_sha256": SHA, "text_characters": 1234, "loss": 2.5, "text": "täles", "step": step}
    return SavedState(
        architecture=config.architecture(len(VOCABULARY)),
        vocabulary=VOCABULARY,
        notes=notes,
        config=config,
        step=step,
        progress=PROGRESS,
    )


def model_of(**options):
    state = state_of(**options)
    return SavedModel(architecture=state.architecture, vocabulary=VOCABULARY, notes=state.notes)


def arrays_of(saved, seed=0):
    """Weights and both moments."""
    random = np.random.default_rng(seed)
    param, m, v = random.normal(size=(3, count(table(saved.architecture.sizes)))).astype(
        saved.architecture.dtype
    )
    return param, m, v**2


def save(directory, seed=0, **options):
    """A state and its arrays, saved."""
    state = state_of(**options)
    save_state(directory, state, *(arrays := arrays_of(state, seed)))
    return state, arrays


def same_model(a, b, param):
    same_array = a.param.tobytes() == param.tobytes() and a.param.dtype == param.dtype
    return same_array and (a.architecture, a.vocabulary, a.notes) == (b.architecture, b.vocabulary, b.notes)


def same_state(a, b, arrays):
    param, m, v = arrays
    same_arrays = a.m.tobytes() == m.tobytes() and a.v.tobytes() == v.tobytes()
    others = (a.config, a.step, a.progress) == (b.config, b.step, b.progress)
    return same_model(a, b, param) and same_arrays and others


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("positions", ["learned", "rope", "none"])
def test_what_was_saved_is_loaded_bit_for_bit(tmp_path, dtype, positions):
    state = state_of(dtype=dtype, positions=positions, schedule="cosine", threads=2)
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
    assert os.stat(run / MODEL_FILE).st_mode == os.stat(_touch(tmp_path / "plain")).st_mode


def _touch(path):
    path.write_bytes(b"")
    return path


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


def test_other_programs_can_read_the_weights(tmp_path):
    state, (param, _, _) = save(tmp_path)
    tensors = safetensors.numpy.load_file(tmp_path / MODEL_FILE)
    rows = table(state.architecture.sizes)
    assert tensors.keys() == {row.name for row in rows}
    for row in rows:
        assert tensors[row.name].shape == row.shape
        assert np.array_equal(tensors[row.name].ravel(), param[row.low : row.high])


# --- writing ----------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    old, arrays = save(tmp_path, seed=1)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_inside(*_):  # as the library says it
        raise safetensors.SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    for module, function, fail in (
        (os, "fsync", full),
        (Path, "replace", full),
        (safetensors.numpy, "save_file", full_inside),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, function, fail)
            with pytest.raises(MicrogptError) as error:
                save(tmp_path, seed=2)
        assert str(error.value) == f"cannot write {tmp_path / MODEL_FILE}: No space left on device"
        assert names(tmp_path) == [MODEL_FILE, STATE_FILE]
        assert same_state(load_state(tmp_path), old, arrays)


def test_ctrl_c_while_writing_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    old, arrays = save(tmp_path, seed=1)

    def interrupt(file):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, seed=2)
    assert names(tmp_path) == [MODEL_FILE, STATE_FILE]
    assert same_state(load_state(tmp_path), old, arrays)


def test_a_crash_between_the_two_renames_shows_no_older_model(tmp_path, monkeypatch):
    old, old_arrays = state_of(), arrays_of(state_of())
    save(tmp_path)
    replace = Path.replace

    def crash_at_the_state(self, target):
        if Path(target).name == STATE_FILE:
            raise SystemExit
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash_at_the_state)
        with pytest.raises(SystemExit):
            save(tmp_path, seed=2, step=8)
    # the model is that of the newer step; the run goes on from the older one, and comes to it again
    assert same_state(load_state(tmp_path), old, old_arrays)
    new = state_of(step=8)
    assert same_model(load_model(tmp_path), new, arrays_of(new, 2)[0])
    save(tmp_path, seed=3, step=9)
    assert (load_model(tmp_path).notes["step"], load_state(tmp_path).step) == (9, 9)


def test_the_best_model_of_a_run_comes_before_the_last(tmp_path):
    save(tmp_path, step=9)
    best = model_of(step=5)
    save_model(tmp_path / BEST_FILE, best, param := arrays_of(best, 6)[0])
    assert same_model(load_model(tmp_path), best, param)
    assert load_model(tmp_path).path == tmp_path / BEST_FILE
    last = load_model(tmp_path, last=True)
    assert (last.path, last.notes["step"]) == (tmp_path / MODEL_FILE, 9)
    assert load_state(tmp_path).step == 9


def test_saving_and_loading_copy_nothing(tmp_path):
    """Beyond a block of a mebibyte; NumPy's memory is traced, and the library adds nothing to the peak."""
    options = {"d_model": 256, "n_layers": 8, "heads": "256", "d_ff": 512, "step": 3}
    state = state_of(**options)
    param, m, v = arrays_of(state)
    assert param.nbytes > 10 << 20
    peaks = []

    def traced(function):
        tracemalloc.start()
        before = peak_memory()
        function()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        return peak_memory() - before

    save(tmp_path)  # whatever is imported
    buffers = {name: np.ones_like(param) for name in ("", "m.", "v.")}
    grown = [
        traced(lambda: save_state(tmp_path, state, param, m, v)),
        traced(lambda: load_model(tmp_path)),
        traced(lambda: load_state(tmp_path).read_into(reference, buffers)),
    ]
    assert max(peaks) < 4 << 20
    assert max(grown) < 4 << 20
    assert all(np.array_equal(buffers[name], array) for name, array in (("", param), ("m.", m), ("v.", v)))


EQUAL_RUN = """
import sys
from microgpt.cli import app
app(["train", "text.txt", "--backend", "reference", "--d-model", "16", "--seq-len", "8", "--batch-size", "2",
     "--order", "shuffled", "--steps", "7", "--val-fraction", "0.1", "--out", sys.argv[1]])
"""


def test_equal_runs_write_equal_files(tmp_path):
    """In two processes, whose sets of strings have other orders, and in directories of other names."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat; a dog ate the hat.\n" * 9)
    for number, out in enumerate(("a", "another")):
        environment = {**os.environ, "PYTHONHASHSEED": str(number + 1)}
        command = [sys.executable, "-c", EQUAL_RUN, out]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    for name in (STATE_FILE, MODEL_FILE, BEST_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "another" / name).read_bytes()


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
        save_model(path, model := model_of(), arrays_of(model)[0])
    assert names(tmp_path) == before


def test_a_link_stays_a_link_and_a_private_file_private(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").mkdir()
    target, link = tmp_path / "disk" / "big", tmp_path / "run" / "x"
    link.symlink_to(Path("..") / "disk" / "big")
    for content in (b"1", b"22"):  # the first makes what the link points to
        write_atomically(link, content)
        assert (link.is_symlink(), target.read_bytes()) == (True, content)
        target.chmod(0o600)
    assert target.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path / "run") == ["x"]
    assert names(tmp_path / "disk") == ["big"]


def test_what_killed_writers_have_left_is_removed(tmp_path):
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    with subprocess.Popen(["sleep", "60"]) as alive:
        for process, name in ((dead.pid, "x"), (dead.pid, "y"), (alive.pid, "x"), (alive.pid, "old")):
            (tmp_path / f".{name}.{process}.tmp").mkdir()
            (tmp_path / f".{name}.{process}.tmp" / name).write_bytes(b"half")
        _touch(tmp_path / f".z.{dead.pid}.tmp")  # as version 0.1 had them
        # the number of a writer of long ago, which is another process's now
        for path in (tmp_path / f".old.{alive.pid}.tmp" / "old", tmp_path / f".old.{alive.pid}.tmp"):
            os.utime(path, (1e9, 1e9))
        others = [".x.tmp", f"x.{dead.pid}.tmp", ".x.12y.tmp", ".x.1234567890123.tmp"]
        for name in others:
            _touch(tmp_path / name)
        write_atomically(tmp_path / "x", b"")
        alive.kill()
    assert names(tmp_path) == sorted([*others, f".x.{alive.pid}.tmp", "x"])


def test_a_name_that_no_file_can_have_is_one_sentence(tmp_path):
    for name, reason in (
        ("a\0b", "embedded null"),
        ("x" * 256, "File name too long"),
        ("\ud800", "surrogates"),
    ):
        with pytest.raises(MicrogptError, match=f"cannot write .*: .*{reason}"):
            write_atomically(tmp_path / name, b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MicrogptError, match=r"cannot write .*pipe: Not a regular file"):
        write_atomically(tmp_path / "pipe", b"")
    assert names(tmp_path) == ["pipe"]


# --- reading ----------------------------------------------------------------------------------------


def refused(function, path):
    """The message of the error, which must be one line that names the file."""
    with pytest.raises(MicrogptError) as error:
        function(path)
    message = str(error.value)
    assert shown_path(path) in message
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
    save_model(tmp_path / MODEL_FILE, model := model_of(), arrays_of(model)[0])
    assert "holds a model but no training state" in refused(load_state, tmp_path / MODEL_FILE)
    os.mkfifo(tmp_path / "pipe")
    assert "there is no such file" in refused(load_model, tmp_path / "pipe")


def test_a_file_without_permission_is_one_sentence(tmp_path, monkeypatch):
    save_model(tmp_path / MODEL_FILE, model := model_of(), arrays_of(model)[0])

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(safetensors, "safe_open", denied)
    assert refused(load_model, tmp_path).endswith("cannot be read: Permission denied")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a state file."""
    directory = tmp_path_factory.mktemp("whole")
    save(directory)
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
        with pytest.raises(MicrogptError, match=r"x\.safetensors is .*damaged"):
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
    assert same_state(state, state_of(), arrays_of(state))


@ANYTHING
@given(content=st.binary(max_size=200), header=st.booleans())
def test_noise_is_refused(tmp_path, content, header):
    if header:
        content = len(content).to_bytes(8, "little") + content
    with pytest.raises(MicrogptError, match=r"x\.safetensors"):
        load_bytes(tmp_path, content)


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    for content in (
        b"",
        (1 << 40).to_bytes(8, "little") + b"{" + b" " * 100,
        b"First Citizen:\nBefore we proceed any further, hear me speak.",
    ):
        path.write_bytes(content)
        assert "is damaged, or no safetensors file" in refused(load_model, path)


# Files that are wrong in spite of a right checksum: part of the message, change of tensors and description.
def _in(part, **changes):
    return lambda tensors, described: described[part].update(changes)


def _at(part, inner, **changes):
    return lambda tensors, described: described[part][inner].update(changes)


def _set(key, value):
    return lambda tensors, described: described.update({key: value})


def _tensor(name, array):
    return lambda tensors, described: tensors.update({name: array})


def _without(which, key):
    return lambda *both: both[which].pop(key)


TOK = np.zeros((len(VOCABULARY), 6), np.float32)
FORGED = [
    ("it has format 4; this version of microgpt reads 1 to 3", _set("format", 4)),
    ("it has format 2.5; ", _set("format", 2.5)),
    ("it has format None; ", _without(1, "format")),
    ("the tensor 'tok' is missing", _without(0, "tok")),
    ("the tensor 'v.unembed_b' is missing", _without(0, "v.unembed_b")),
    ("no place for the tensor 'extra'", _tensor("extra", TOK)),
    ("no place for the tensor 'm.m.tok'", _tensor("m.m.tok", TOK)),
    ("the tensor 'tok' is float32 (1, 6), not float32 (10, 6)", _tensor("tok", TOK[:1])),
    ("the tensor 'm.tok' is float64 (10, 6), not float32", _tensor("m.tok", TOK.astype(np.float64))),
    ("the tensor 'tok' is of type I32, not F32 or F64", _tensor("tok", TOK.astype(np.int32))),
    ("its weights are not all finite numbers", _tensor("tok", TOK + np.nan)),
    ("its first moments are not all finite", _tensor("m.tok", TOK + np.inf)),
    ("its second moments are not all finite", _tensor("v.tok", TOK - np.inf)),
    ("its vocabulary has 9 characters, but its model 10", _set("vocabulary", VOCABULARY.characters[1:])),
    ("distinct and sorted", _set("vocabulary", VOCABULARY.characters[::-1])),
    ("its metadata have no valid entry 'vocabulary'", _without(1, "vocabulary")),
    ("its metadata have no valid entry 'vocabulary'", _set("vocabulary", [*VOCABULARY.characters])),
    ("its metadata have no valid entry 'model'", _without(1, "model")),
    ("its metadata have no valid entry 'model'", _set("model", [1])),
    ("its metadata have no valid entry 'notes'", _set("notes", None)),
    ("its model: d_model = '6' should be a whole number", _in("model", d_model="6")),
    ("its model: n_layers = True should be a whole number", _in("model", n_layers=True)),
    ("its model: n_layers = 2.0 should be a whole number", _in("model", n_layers=2.0)),
    ("its model: unknown key 'more'", _in("model", more=1)),
    ("its model: heads = 5 should be lists of whole numbers", _in("model", heads=5)),
    ("its model: heads = [[6], 6] should be", _in("model", heads=[[6], 6])),
    ("its model: heads = [[6], ['6']] should be", _in("model", heads=[[6], ["6"]])),
    ("its model: 'dtype' is missing", lambda tensors, described: described["model"].pop("dtype")),
    ("do not sum to d_model", _in("model", heads=[[6], [3, 2]])),
    ("do not sum to d_model", _in("model", heads=[[6], []])),
    ("do not sum to d_model", _in("model", heads=[[6], [7, -1]])),
    ("is none of learned", _in("model", positions="else")),
    ("is none of float32", _in("model", dtype="object")),
    ("--vocabulary-size can be at most 1114112, not 10000000000", _in("model", vocabulary_size=10**10)),
    ("the tensor 'tok' is float32", _in("model", vocabulary_size=10**6)),
    ("its step 1.0 is no number of steps", _in("training", step=1.0)),
    ("its step -1 is no number of steps", _in("training", step=-1)),
    ("is no number of steps", _in("training", step=1 << 63)),
    ("its step 'x' is no number of steps", _in("notes", step="x")),
    ("its metadata have no valid entry 'training'", _set("training", 5)),
    ("its metadata have no valid entry 'training'", _in("training", options=None)),
    ("its metadata have no valid entry 'training'", _in("training", progress=[])),
    ("its progress: 'average' is missing", _in("training", progress={})),
    ("its progress: average = '1' should be a number", _at("training", "progress", average="1")),
    ("its progress: count = 1.0 should be a whole number", _at("training", "progress", count=1.0)),
    ("its progress: evaluation_due = 1 should be true or", _at("training", "progress", evaluation_due=1)),
    ("its progress: val_loss = [] should be a number", _at("training", "progress", val_loss=[])),
    ("its progress: average = 9", _at("training", "progress", average=int("9" * 400))),
    ("its progress cannot be: average is nan", _at("training", "progress", average=math.nan)),
    ("its progress cannot be: best_val_loss is inf", _at("training", "progress", best_val_loss=math.inf)),
    ("its progress cannot be: count is -1", _at("training", "progress", count=-1)),
    (
        "its progress cannot be: best_step is 9223372036854775808",
        _at("training", "progress", best_step=1 << 63),
    ),
    ("unknown key 'stepps'", _at("training", "options", stepps=3)),
    ("should be a number", _at("training", "options", lr="fast")),
    ("--lr must be at least 0", _at("training", "options", lr=-1.0)),
    ("--n-layers can be at most", _at("training", "options", n_layers=1 << 31)),
    ("its training options: 'file' is missing", _in("training", options={})),
    ("its model is not the one that its training options describe", _at("training", "options", seq_len=5)),
]


def sealed(tensors, described):
    """The metadata with a right checksum, as formats 2 and 3 have it."""
    text = json.dumps(described, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode() + tensor.tobytes())
    return {"microgpt": json.dumps(described | {"sha256": digest.hexdigest()})}


def parsed(path):
    """The tensors of a file and what it says of itself."""
    with safetensors.safe_open(path, "numpy") as file:
        (text,) = file.metadata().values()
        described = json.loads(text)
        del described["sha256"]
        return {name: file.get_tensor(name) for name in file.keys()}, described  # noqa: SIM118  (it is no dict)


@pytest.mark.parametrize(("message", "change"), FORGED, ids=[str(i) for i in range(len(FORGED))])
def test_a_file_that_contradicts_itself_is_refused(tmp_path, message, change):
    save(tmp_path)
    path = tmp_path / STATE_FILE
    tensors, described = parsed(path)
    change(tensors, described)
    safetensors.numpy.save_file(tensors, path, sealed(tensors, described))
    sentence = refused(load_state, path)
    assert message in sentence
    assert len(sentence) < 300 + len(str(path))


def test_a_forger_who_changes_nothing_is_believed(tmp_path):
    state, arrays = save(tmp_path)
    tensors, described = parsed(tmp_path / STATE_FILE)
    safetensors.numpy.save_file(tensors, tmp_path / STATE_FILE, sealed(tensors, described))
    assert same_state(load_state(tmp_path), state, arrays)


METADATA = [
    ("it was not written by microgpt", {}),
    ("it was not written by microgpt", {"microgpt": "²"}),
    ("it has format 99999999999999999999; ", {"microgpt": "9" * 1000}),
    ("it has format 12345; ", {"microgpt": '{"format": 12345}'}),
    ("its metadata have no valid entry 'microgpt'", {"microgpt": "{"}),
    ("its metadata have no valid entry 'microgpt'", {"microgpt": '{"a": ' * 20_000}),
    ("its metadata have no valid entry 'microgpt'", {"microgpt": '{"format": ' + "9" * 10_000 + "}"}),
    ("its metadata have no valid entry 'model'", {"microgpt": "1"}),
    ("its metadata have no valid entry 'notes'", {"microgpt": "1", "model": "{}", "notes": "[" * 9999}),
]


@pytest.mark.parametrize(("message", "metadata"), METADATA, ids=[str(i) for i in range(len(METADATA))])
def test_metadata_that_are_no_checkpoints(tmp_path, message, metadata):
    safetensors.numpy.save_file({"x": np.zeros(3)}, tmp_path / "x.safetensors", metadata)
    assert message in refused(load_model, tmp_path / "x.safetensors")


# Headers of 8 MiB that take as much memory or time to parse as they can.
BOMBS = {
    "metadata": lambda n: '{"__metadata__":{' + ",".join(f'"{i:x}":""' for i in range(n // 11)) + "}}",
    "tensors": lambda n: (
        "{"
        + ",".join(f'"{i:x}":{{"dtype":"F32","shape":[],"data_offsets":[0,0]}}' for i in range(n // 60))
        + "}"
    ),
    "shape": lambda n: f'{{"a":{{"dtype":"F32","shape":[{"0," * (n // 2 - 50)}0],"data_offsets":[0,0]}}}}',
    "brackets": lambda n: '{"__metadata__":{"microgpt":"{\\"a\\":[' + "[]," * (n // 3 - 50) + '[]]}"}}',
    "escapes": lambda n: '{"__metadata__":{"microgpt":"{\\"a\\":[' + "\\u005b]," * (n // 8 - 50) + '1]}"}}',
    "numbers": lambda n: '{"__metadata__":{"microgpt":"{\\"a\\":[' + "1.5," * (n // 4 - 50) + '1]}"}}',
    "vocabulary": lambda n: (
        '{"__metadata__":{"microgpt":"{\\"vocabulary\\":\\"' + "é" * (n // 2 - 50) + '\\"}"}}'
    ),
    "length": lambda n: " " * (2 * n),
}
LOAD = """
import resource, sys, time
from pathlib import Path
from microgpt.checkpoint.saved import load_model
from microgpt.errors import MicrogptError, shown_path
from safetensors import safe_open
before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    load_model(Path(sys.argv[1]))
except MicrogptError as error:
    print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


@pytest.mark.parametrize("kind", BOMBS)
def test_a_forged_header_takes_neither_memory_nor_time(tmp_path, kind):
    pytest.importorskip("resource", reason="only Unix says how much memory a process has held")
    header = BOMBS[kind](8 << 20).encode()
    (tmp_path / "bomb").write_bytes(len(header).to_bytes(8, "little") + header)
    done = subprocess.run([sys.executable, "-c", LOAD, tmp_path / "bomb"], capture_output=True, text=True)
    seconds, held, message = done.stdout.split(maxsplit=2)
    assert "\n" not in message.strip()
    assert len(message) < 300 + len(str(tmp_path))
    assert float(seconds) < 2
    assert int(held) * (1 if sys.platform == "darwin" else 1024) < 200_000_000


def test_a_file_that_is_replaced_after_it_was_looked_at_is_not_read(tmp_path):
    save(tmp_path, seed=1)
    state = load_state(tmp_path)
    save(tmp_path, seed=2)
    with pytest.raises(MicrogptError, match="another file has taken its place"):
        _ = state.param


def test_what_cannot_be_loaded_is_not_saved(tmp_path):
    state = state_of()
    param, m, v = arrays_of(state)
    with pytest.raises(MicrogptError, match="which does not fit its model"):
        save_state(tmp_path, state, param, m[1:], v)
    param[3] = np.nan
    with pytest.raises(MicrogptError, match="its weights are not all finite numbers"):
        save_state(tmp_path, state, param, m, v)
    assert names(tmp_path) == []


# --- format 1, of version 0.1 ----------------------------------------------------------------------


def save_format_1(path, state, arrays, progress, **options):
    """As version 0.1 wrote it: strings for each part, and a checksum over the sorted entries."""
    rows = table(state.architecture.sizes)
    tensors = {
        prefix + row.name.replace("unembed", "head"): array[row.low : row.high].reshape(row.shape)
        for prefix, array in zip(("", "m.", "v."), arrays, strict=True)
        for row in rows
    }
    resolved = dataclasses.asdict(dataclasses.replace(state.config.resolved(), **options))
    given = {name: value for name, value in resolved.items() if value is not None}
    metadata = {
        "microgpt": "1",
        "vocabulary": VOCABULARY.characters,
        "model": json.dumps(dataclasses.asdict(state.architecture)),
        "notes": json.dumps(state.notes),
        "training": json.dumps({"options": given, "step": state.step, "progress": progress}),
    }
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor).data)
    safetensors.numpy.save_file(tensors, path, metadata | {"sha256": digest.hexdigest()})


PROGRESS_1 = {
    "smoothed_loss": 2.5, "val_loss": 2.25, "best_val_loss": None, "elapsed_s": 3.5,
    "recent": [5.5, 2.5, 2.0, 0.25],
}  # fmt: skip


def test_a_file_of_format_1_is_loaded_bit_for_bit(tmp_path):
    state = state_of()
    arrays = arrays_of(state)
    save_format_1(tmp_path / STATE_FILE, state, arrays, PROGRESS_1, out="runs/x")
    loaded = load_state(tmp_path)
    assert same_model(load_model(tmp_path / STATE_FILE), state, arrays[0])
    assert loaded.m.tobytes() + loaded.v.tobytes() == arrays[1].tobytes() + arrays[2].tobytes()
    assert loaded.config == state.config
    # the least rate, a tenth of the old one, was written out, and does not stand against the new one
    with pytest.raises(
        MicrogptError, match=r"exactly: --lr was 0\.000\d+ and is now 1e-06; resume it as it was"
    ):
        resume(loaded, lr=1e-6)
    assert loaded.progress == Progress(
        average=2.5 * (1 - 0.99**7), val_loss=2.25, best_val_loss=None, best_step=None, loss_sum=5.5,
        norm_sum=2.5, count=2, evaluation_due=False,
    )  # fmt: skip
    resume(loaded, steps=100)
    damaged = bytearray((tmp_path / STATE_FILE).read_bytes())
    damaged[-5] ^= 1
    (tmp_path / STATE_FILE).write_bytes(damaged)
    assert "it is damaged, its contents do not match its checksum" in refused(
        load_state, tmp_path / STATE_FILE
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recent": [1.0, 2.0]}, "its progress cannot be: recent is (1.0, 2.0)"),
        ({"recent": [1.0, 2.0, math.inf, 0.0]}, "its progress cannot be: recent is"),
        ({"recent": 5}, "its progress: recent = 5 should be"),
        ({"smoothed_loss": "low"}, "its progress: smoothed_loss = 'low' should be a number"),
        ({"smoothed_loss": math.nan}, "its progress cannot be: average is nan"),
    ],
)
def test_the_progress_of_format_1_is_checked_too(tmp_path, change, message):
    save_format_1(tmp_path / "x", state := state_of(), arrays_of(state), PROGRESS_1 | change)
    assert message in refused(load_state, tmp_path / "x")


# --- resuming ---------------------------------------------------------------------------------------


def resume(state, text=TEXT, **options):
    train = dataclasses.replace(state.config, **options)
    check_resumable(state, train.architecture(len(VOCABULARY)), train, text)


def test_what_changes_no_number_may_change():
    resume(state_of())
    free = {"backend": "openblas", "threads": 3, "memory_cap": "1GiB", "out": "elsewhere", "file": "same.txt"}
    resume(state_of(), steps=5000, sample_every=3, min_lr=1e-9, **free)
    resume(state_of(val_fraction=0.1), eval_every=3)
    # defaults written out or not
    state = state_of()
    check_resumable(state, state.architecture, state.config.resolved(), TEXT)
    state = dataclasses.replace(state, config=state.config.resolved())
    check_resumable(state, state.architecture, train_of(), TEXT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.5}, "--lr was 0.0003333333333333333 and is now 0.5"),
        ({"seed": 1}, "--seed was 1337 and is now 1"),
        ({"seq_len": 5, "stride": 4}, "--seq-len was 4 and is now 5"),
        ({"stride": 2}, "--stride was 4 and is now 2"),
        ({"batch_size": 2}, "--batch-size was 1 and is now 2"),
        ({"order": "shuffled"}, "--order was 'sequential' and is now 'shuffled'"),
        ({"heads": "6"}, "--heads was '1+2+3 | 6' and is now '6'"),
        ({"d_ff": 7}, "--d-ff was 5 and is now 7"),
        ({"positions": "rope"}, "--positions was 'learned' and is now 'rope'"),
        ({"dtype": "float64"}, "--dtype was 'float32' and is now 'float64'"),
        ({"beta2": 0.9}, "--beta2 was 0.999 and is now 0.9"),
        ({"schedule": "cosine"}, "--schedule was 'constant' and is now 'cosine'"),
        ({"warmup": 5}, "--warmup was 0 and is now 5"),
        ({"clip": 0.0}, "--clip was 1.0 and is now 0.0"),
        ({"weight_decay": 0.1}, "--weight-decay was 0.0 and is now 0.1"),
        ({"val_fraction": 0.1}, "--val-fraction was 0.0 and is now 0.1"),
        ({"steps": 6}, "--steps 6 is less than the 7 that are done"),
        (
            {"text": Text(np.zeros(1250, np.uint8), VOCABULARY, "cd" * 32, Path("b.txt")), "file": "b.txt"},
            "the text b.txt (1,250 characters, SHA-256 cdcdcdcd) is not the one that it was trained on, "
            "tales.txt (1,234 characters, SHA-256 abababab): if that lies elsewhere now, "
            "microgpt train NEW_PATH --resume runs/x",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_changes_the_numbers_is_refused(options, message):
    with pytest.raises(MicrogptError) as error:
        resume(dataclasses.replace(state_of(), path=Path("runs/x") / STATE_FILE), **options)
    file = options.get("file", "tales.txt")
    sentence, path, words = str(error.value).partition("runs/x/model.safetensors")
    assert sentence + path == (
        f"this run cannot be resumed exactly: {message}; resume it as it was, "
        f"or begin a new run with its weights: microgpt train {file} --from runs/x/model.safetensors"
    )
    # the weights have their sizes; all else is as it was before, or is given now
    given = {name: value for name, value in options.items() if name not in {"file", "text", *SIZES}}
    expected = {"lr": state_of().config.lr, **given}
    pairs = zip(*[iter(words.split())] * 2, strict=True)
    assert dict(pairs) == {f"--{name.replace('_', '-')}": str(value) for name, value in expected.items()}


def test_every_difference_is_listed():
    with pytest.raises(MicrogptError) as error:
        resume(state_of(), text=dataclasses.replace(TEXT, sha256=""), seed=1, lr=0.5, clip=2.0)
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


def test_a_run_that_is_done_says_how_to_go_on():
    with pytest.raises(MicrogptError, match="all 7 steps of this run are done; to go on, add --steps with a"):
        resume(state_of(steps=7))
    resume(state_of(steps=7), steps=8)
    done = dataclasses.replace(state_of(steps=7, schedule="cosine"), path=Path("runs/x") / STATE_FILE)
    with pytest.raises(
        MicrogptError, match=r"come to its end; .*: microgpt train tales.txt --from runs/x/model.safetensors"
    ):
        resume(done)


def test_another_vocabulary_is_another_model():
    state = state_of()
    with pytest.raises(MicrogptError, match="the model's sizes have changed"):
        check_resumable(state, state.config.architecture(len(VOCABULARY) + 1), state.config, TEXT)
