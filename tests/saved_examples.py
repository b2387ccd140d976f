"""What the tests of checkpoints share: small models and states, their files, and how to forge one."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from microgpt.checkpoint.progress import Progress
from microgpt.checkpoint.saved import STATE_FILE, SavedModel, SavedState, load_state
from microgpt.checkpoint.writing import save_state
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, shown_path
from microgpt.model.parameters import count, table
from microgpt.recipes import RECIPES
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
    return TrainConfig(**RECIPES["plain"] | {"file": "tales.txt", "lr": 1 / 3000, **sizes, **options})


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


def refused(function, path):
    """The message of the error, which must be one line that names the file."""
    with pytest.raises(MicrogptError) as error:
        function(path)
    message = str(error.value)
    assert shown_path(path) in message
    assert "\n" not in message
    return message


def forge(path, change):
    """Change a file so that its checksum is right all the same: change(tensors, what it says of itself)."""
    tensors, described = parsed(path)
    change(tensors, described)
    safetensors.numpy.save_file(tensors, path, sealed(tensors, described))


def refused_when_forged(directory, change):
    """The message of the error for a state whose file was forged."""
    save(directory)
    forge(directory / STATE_FILE, change)
    return refused(load_state, directory / STATE_FILE)


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


# Changes of a file's tensors and of what it says of itself, for `forge`.


def in_part(part, **changes):
    return lambda tensors, described: described[part].update(changes)


def in_training(inner, **changes):
    return lambda tensors, described: described["training"][inner].update(changes)


def set_key(key, value):
    return lambda tensors, described: described.update({key: value})


def set_tensor(name, array):
    return lambda tensors, described: tensors.update({name: array})


def without_key(key):
    return lambda tensors, described: described.pop(key)


def without_tensor(name):
    return lambda tensors, described: tensors.pop(name)


def resume(state, text=TEXT, **options):
    """Ask whether the run of this state can go on with other options or another text."""
    train = dataclasses.replace(state.config, **options)
    check_resumable(state, train.architecture(len(VOCABULARY)), train, text)
