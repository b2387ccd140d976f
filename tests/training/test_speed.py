"""Measuring: real steps of the chosen size are timed, and a run of so many steps takes the time asked for."""

import time

import numpy as np
import pytest
from reporters import Silent

from microgpt.errors import MicrogptError
from microgpt.text.ngrams import fit
from microgpt.text.reading import read_text
from microgpt.training import speed as measuring
from microgpt.training.counting import Counting
from microgpt.training.plan import Speed, choose
from microgpt.training.speed import count_a_sample, measure, plan_for

TEXT = read_text(b"the cat sat on the mat; a dog ate the hat.\n" * 50)
GIVEN = {"file": "x", "backend": "reference", "d_model": 16, "n_layers": 1}


def plan_of(seconds=0.5, **given):
    options = {**GIVEN, **given}
    return choose(seconds, len(TEXT.ids), len(TEXT.vocabulary), options, Speed(1e9, 1e9), Counting(1e7))


def test_the_speed_is_that_of_real_steps():
    plan = plan_of()
    speed = measure(plan, TEXT, 0.2, Silent())
    trainer_seconds = plan.size.step / speed.training
    assert 1e-4 < trainer_seconds < 1
    # to predict is the smaller part of a step
    assert 0 < plan.size.evaluation / speed.evaluation < trainer_seconds / plan.size.characters * 3


def test_an_interruption_of_the_machine_plays_no_part(monkeypatch):
    """The median leaves out the few timings in which other programs had the cores."""

    class Trainer:
        n = 0

        def advance(self, n):
            self.n += 1
            if self.n % 5 == 0:
                time.sleep(0.03)
            time.sleep(0.002 * n)

    assert 0.002 <= measuring._median(Trainer(), 0.3) < 0.004


def test_what_is_measured_leaves_no_arrays_and_changes_no_run():
    plan = plan_of()
    before = plan.config
    measure(plan, TEXT, 0.01, Silent())
    assert plan.config == before


def test_n_grams_are_counted_in_parts_of_the_text():
    random = np.random.default_rng(0).integers(0, 26, 40_000).astype(np.uint8) + 97
    text = read_text(b"a" * 60_000 + random.tobytes())
    whole = count_a_sample(text, 100_000)
    assert 1e4 < whole.speed < 1e9
    model = fit(text.ids, 26, 6)
    assert whole.variety[-1] * 100_000 == pytest.approx(model.n_grams)
    assert whole.variety[0] * 100_000 == pytest.approx(26)
    part = count_a_sample(text, 16_000)
    # of parts from everywhere, there is no less variety for each character
    assert all(one >= 0.9 * other for one, other in zip(part.variety, whole.variety, strict=True))
    assert len(count_a_sample(read_text(b"a"), 8).variety) == 6
    many = read_text("".join(map(chr, range(0x4E00, 0x4E00 + 3000))).encode())
    assert count_a_sample(many, 8).variety == pytest.approx([1.0] * 5)


def test_the_user_sees_that_something_is_measured():
    reporter = Silent()
    plan_for(0.1, TEXT, GIVEN, reporter)
    assert measuring.MEASURING in reporter.notes


def test_the_steps_follow_from_the_speed_of_the_size_that_was_chosen(monkeypatch):
    measured = []

    def slower_and_slower(plan, text, seconds, reporter):
        measured.append(plan)
        return Speed(1e9 / len(measured), 1e9)

    monkeypatch.setattr(measuring, "measure", slower_and_slower)
    plan, speed = plan_for(10, TEXT, {"file": "x"}, Silent())
    assert len(measured) == 5  # thrice more, since no speed was like the one before
    assert speed == Speed(1e9 / 5, 1e9)
    assert plan.size.architecture == measured[-1].size.architecture
    assert plan.config.batch_size == measured[-1].config.batch_size
    assert 0.95 < plan.seconds / 10 <= 1
    assert plan.seconds == pytest.approx(
        plan.ngrams.seconds
        + plan.config.steps * plan.size.step / speed.training
        + plan.evaluations * round(0.1 * len(TEXT.ids)) * plan.size.evaluation / speed.evaluation
    )


@pytest.mark.parametrize(
    "given", [{}, {"val_fraction": 0.0}, {"batch_size": 2, "seq_len": 8, "threads": 1}], ids=str
)
def test_any_options_can_be_measured(given):
    plan, _ = plan_for(0.05, TEXT, {**GIVEN, **given}, Silent())
    assert {name: getattr(plan.config, name) for name in given} == given


def test_a_text_of_one_character_is_one_sentence():
    with pytest.raises(MicrogptError, match="has 1 character, but"):
        plan_for(0.05, read_text(b"x"), GIVEN, Silent())


def test_a_rate_that_is_too_high_stops_no_measurement():
    speed = measure(plan_of(lr=1e5), TEXT, 0.02, Silent())
    assert np.isfinite(speed).all()
