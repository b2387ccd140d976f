"""Files that are damaged, foreign or made to harm."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saved_examples import arrays_of, model_of, refused, same_state, save, state_of

from microgpt.checkpoint.saved import MODEL_FILE, STATE_FILE, load_model, load_state
from microgpt.checkpoint.writing import save_model
from microgpt.errors import MicrogptError


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
        assert "is no trained model, or a damaged one: " in refused(load_model, path)


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
