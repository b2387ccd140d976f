"""A run of a race: what it computes is what `microgpt train` does, and how long it takes is told before."""

import dataclasses
import hashlib
import math
import pickle

import pytest
from racing import OPTIONS, TEXT, bits_of
from reporters import Silent

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.race import worker
from microgpt.race.worker import Job, time_in_turns
from microgpt.training.output import MemoryOutput
from microgpt.training.train import train

SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.fixture
def config(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    return TrainConfig(
        file=str(tmp_path / "text.txt"), **OPTIONS, heads="1+2+3", val_fraction=0.1, threads=1, seed=5
    )


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 40},
        {"backend": "crystal", "steps": 2100},  # more than are taken at once
        {"dtype": "float64", "order": "sequential", "stride": 3},
        {"ngrams": 3},
    ],
    ids=str,
)
def test_a_run_comes_to_the_very_loss_of_train(config, options):
    config = dataclasses.replace(config, **options)
    result = train(config, Silent(), output=MemoryOutput())
    outcome = worker.train(Job("key", config, SHA256))
    assert (outcome.bits, outcome.training_nats) == (bits_of(result.val_loss), result.loss)
    assert (outcome.key, outcome.problem) == ("key", None)
    assert outcome.seconds > 0


def test_a_run_does_not_depend_on_those_before_it(config):
    first = worker.train(Job("key", config, SHA256))
    other = worker.train(Job("key", dataclasses.replace(config, seed=6), SHA256))
    again = worker.train(Job("key", config, SHA256))
    assert first.bits == again.bits != other.bits


def test_a_run_that_stops_being_finite_is_a_result(config):
    rising = dataclasses.replace(config, backend="crystal", lr=9e5, warmup=0, schedule="constant")
    outcome = worker.train(Job("key", dataclasses.replace(rising, steps=10), SHA256))
    assert (outcome.bits, outcome.training_nats) == (None, None)
    assert "not finite at step 2" in outcome.problem
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    # one step earlier it is only the judgement that is none
    outcome = worker.train(Job("key", dataclasses.replace(rising, steps=1), SHA256))
    assert (outcome.bits, outcome.problem) == (None, "the loss of the held-out text is not finite")
    assert math.isfinite(outcome.training_nats)


def test_another_text_is_refused(config):
    with pytest.raises(MicrogptError, match=r"text\.txt is not the text that the race was planned with"):
        worker.train(Job("key", config, "0" * 64))


def test_what_does_not_fit_is_a_sentence(config):
    with pytest.raises(MicrogptError, match="do not fit"):
        worker.train(Job("key", dataclasses.replace(config, memory_cap="1KiB"), SHA256))


def test_entrants_are_timed(config):
    wide = dataclasses.replace(config, d_model=60, heads="10+20+30")
    small, large = time_in_turns([config, wide], SHA256, 2)
    for timing in (small, large):
        assert 0 < timing.step < 1
        assert 0 < timing.evaluation < 1
    assert small.held < large.held < large.resident
    assert small.resident == large.resident
    before = worker.train(Job("key", config, SHA256))
    (compiled,) = time_in_turns([config], SHA256, 0)
    assert math.isnan(compiled.step)
    assert worker.train(Job("key", config, SHA256)).bits == before.bits
