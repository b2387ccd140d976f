"""Files of older versions."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
import safetensors.numpy
from saved_examples import VOCABULARY, arrays_of, refused, resume, same_model, state_of

from microgpt.checkpoint.progress import Progress
from microgpt.checkpoint.saved import STATE_FILE, load_model, load_state
from microgpt.errors import MicrogptError
from microgpt.model.parameters import table


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
