"""What may change when a run goes on, and what may not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from saved_examples import TEXT, VOCABULARY, resume, state_of, train_of

from microgpt.checkpoint.saved import STATE_FILE
from microgpt.config import SIZES, TrainConfig
from microgpt.errors import MicrogptError
from microgpt.recipes import RECIPES
from microgpt.text.reading import Text
from microgpt.training.resuming import check_resumable, from_weights


def test_what_changes_no_number_may_change():
    resume(state_of())
    free = {"backend": "openblas", "threads": 3, "memory_cap": "1GiB", "out": "elsewhere", "file": "same.txt"}
    resume(state_of(), steps=5000, sample_every=3, snapshots=3, min_lr=1e-9, **free)
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
    plain = {name: value for name, value in RECIPES["plain"].items() if name not in SIZES}
    expected = {**plain, "lr": state_of().config.lr, **given}
    if options == {"order": "shuffled"}:  # which is the default
        del expected["order"]
    if options == {"steps": 6}:  # of which no warm-up is a tenth
        del expected["warmup"]
    pairs = zip(*[iter(words.split())] * 2, strict=True)
    assert dict(pairs) == {f"--{name.replace('_', '-')}": str(value) for name, value in expected.items()}


def test_the_advice_keeps_what_was_given():
    config = TrainConfig(
        "my tales.txt", lr=0.5, backend="openblas", seq_len=4, d_model=6, heads="6"
    ).settled()
    assert from_weights(config, Path("runs/x")) == (
        "microgpt train 'my tales.txt' --from runs/x/model.safetensors --seq-len 4 "
        "--backend openblas --lr 0.5"
    )


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
