"""Writing checkpoints: whole at any instant, equal for equal runs, and without a copy."""

import errno
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from microgpt_kernels import reference
from saved_examples import arrays_of, model_of, names, same_model, same_state, save, state_of
from support import peak_memory

from microgpt.checkpoint.saved import BEST_FILE, MODEL_FILE, STATE_FILE, load_model, load_state
from microgpt.checkpoint.writing import save_model, save_state
from microgpt.errors import MicrogptError
from microgpt.model.parameters import table


def test_other_programs_can_read_the_weights(tmp_path):
    state, (param, _, _) = save(tmp_path)
    tensors = safetensors.numpy.load_file(tmp_path / MODEL_FILE)
    rows = table(state.architecture.sizes)
    assert tensors.keys() == {row.name for row in rows}
    for row in rows:
        assert tensors[row.name].shape == row.shape
        assert np.array_equal(tensors[row.name].ravel(), param[row.low : row.high])


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
from microgpt.cli.app import app
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


@pytest.mark.parametrize("blocked", ["a file where a directory should be", "a directory of that name"])
def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path, blocked):
    if blocked.startswith("a file"):
        (tmp_path / "run").touch()
        path = tmp_path / "run" / MODEL_FILE
    else:
        (path := tmp_path / MODEL_FILE).mkdir()
    before = names(tmp_path)
    with pytest.raises(MicrogptError, match=f"^cannot write {re.escape(str(path))}: [A-Z][a-z ]+$"):
        save_model(path, model := model_of(), arrays_of(model)[0])
    assert names(tmp_path) == before


def test_what_cannot_be_loaded_is_not_saved(tmp_path):
    state = state_of()
    param, m, v = arrays_of(state)
    with pytest.raises(MicrogptError, match="which does not fit its model"):
        save_state(tmp_path, state, param, m[1:], v)
    param[3] = np.nan
    with pytest.raises(MicrogptError, match="its weights are not all finite numbers"):
        save_state(tmp_path, state, param, m, v)
    assert names(tmp_path) == []
