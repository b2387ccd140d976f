"""The choice for a time: a pure function of the time, the text, the given options and the machine's speed."""

import re
from itertools import pairwise

import numpy as np
import pytest

from microgpt.training.ladder import NoSizeError, Rung
from microgpt.training.plan import (
    MOST_EVALUATIONS,
    MOST_HELD_OUT,
    Speed,
    characters_worth,
    choose,
    reasons,
)

SPEED = Speed(training=1e11, evaluation=5e10)
# characters and distinct ones: usual, short and long texts, and odd ones
TEXTS = {
    "a novel": (1_000_000, 65), "a chapter": (100_000, 65), "a library": (50_000_000, 200),
    "three characters": (3, 3), "one character": (5000, 1), "all different": (50_000, 50_000),
}  # fmt: skip
# seconds, a little further apart than the sizes of the models are
TIMES = 1.04 ** np.arange(-20, 200)


def plan_of(seconds, n_characters=1_000_000, vocabulary_size=65, speed=SPEED, **given):
    return choose(seconds, n_characters, vocabulary_size, {"file": "x", **given}, speed)


@pytest.mark.parametrize("text", TEXTS)
def test_more_time_never_chooses_a_smaller_model_or_fewer_characters(text):
    plans = [plan_of(seconds, *TEXTS[text]) for seconds in TIMES]
    for before, after in pairwise(plans):
        assert after.size.weights >= before.size.weights
        assert after.characters >= before.characters
    assert plans[-1].size.weights > 10 * plans[0].size.weights
    assert plans[-1].characters > 10 * plans[0].characters


@pytest.mark.parametrize("seconds", [0.5, 3, 12, 60, 600, 36_000])
@pytest.mark.parametrize("text", ["a novel", "a chapter", "a library"])
def test_the_time_is_used_and_kept(text, seconds):
    plan = plan_of(seconds, *TEXTS[text])
    assert 0.92 < plan.seconds / seconds <= 1.001
    # of a size that is known, so many steps are taken that nothing is left over
    sizes = {name: getattr(plan.config, name) for name in (*Rung._fields, "d_ff")}
    filled = plan_of(seconds, *TEXTS[text], **sizes)
    assert filled.size.architecture == plan.size.architecture
    assert 0.98 < filled.seconds / seconds <= 1.001


def test_a_faster_machine_is_more_time():
    slow, fast = plan_of(120), plan_of(60, speed=Speed(2e11, 1e11))
    assert slow.config == fast.config


def test_long_texts_are_read_whole_before_a_larger_model_is_chosen():
    worth = [characters_worth(weights, 10_000_000) for weights in range(1000, 3_000_000, 1000)]
    assert sorted(worth) == worth
    assert not any(5_000_000 <= characters < 10_000_000 for characters in worth)


def test_a_short_text_gets_a_smaller_model_and_more_weight_decay():
    short, long = plan_of(60, 100_000), plan_of(60, 10_000_000)
    assert short.size.weights < long.size.weights
    assert short.config.weight_decay > long.config.weight_decay
    assert short.evaluations > long.evaluations


def test_what_is_held_out_is_a_tenth_but_no_more_than_is_needed():
    assert plan_of(60, 1_000_000).config.val_fraction == 0.1
    assert 50_000_000 * plan_of(60, 50_000_000).config.val_fraction == MOST_HELD_OUT
    assert plan_of(60, 100).config.val_fraction == 0


def test_evaluations_take_two_hundredths_of_the_time():
    for seconds in (60, 600, 3600):
        plan = plan_of(seconds, 100_000)
        steps = plan_of(seconds, 100_000, val_fraction=0).config.steps
        assert 1 < plan.evaluations <= MOST_EVALUATIONS
        assert plan.config.steps > 0.9 * steps
        # as many as the steps allow, the last one at the end
        assert -(-plan.config.steps // plan.config.eval_every) == plan.evaluations


GIVEN = [
    {"d_model": 96}, {"d_model": 30, "heads": "10+20"}, {"n_layers": 7}, {"d_ff": 100}, {"heads": "prime"},
    {"seq_len": 40}, {"batch_size": 3}, {"lr": 1e-4, "schedule": "constant", "min_lr": None},
    {"weight_decay": 0.0}, {"val_fraction": 0.0}, {"eval_every": 77, "val_fraction": 0.2}, {"warmup": 3},
    {"beta2": 0.95, "positions": "none", "order": "sequential"}, {"dtype": "float64", "seed": 4},
    {"d_model": 64, "n_layers": 2, "d_ff": 64, "seq_len": 32, "batch_size": 1, "stride": 8},
]  # fmt: skip


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_what_is_given_is_kept(given):
    for seconds in (1, 60):
        plan = plan_of(seconds, **given)
        assert {name: getattr(plan.config, name) for name in given} == given
        assert 0.8 < plan.seconds / seconds <= 1.001  # few models go with some layouts of heads
    assert plan.size.architecture == plan.config.architecture(65)


def test_heads_that_no_size_goes_with_are_an_error():
    with pytest.raises(NoSizeError, match="the widths 7\\+6 sum to 13, but d_model is"):
        plan_of(60, heads="7+6")


@pytest.mark.parametrize("n_characters", [1, 2, 3, 4, 5, 20, 99, 500, 999, 1000, 1001])
def test_texts_however_short_give_options_that_make_sense(n_characters):
    for seconds in (0.01, 60):
        config = plan_of(seconds, n_characters, min(n_characters, 60)).config
        n_train = n_characters - round(n_characters * config.val_fraction)
        assert n_train <= 1 or config.seq_len < n_train
        assert config.steps >= 1


def test_a_cap_makes_the_model_smaller():
    free, capped = plan_of(600), plan_of(600, memory_cap="20MB")
    assert capped.size.weights < free.size.weights
    assert capped.characters > free.characters


def test_the_reasons_are_three_lines():
    def lines_of(minutes, *text, **given):
        lines = reasons(plan_of(60 * minutes, *text, **given), minutes, given, SPEED)
        assert len(lines) == 3
        return lines

    size, reading, judged = lines_of(1)
    assert size.startswith("chosen for 1 minute at 100 GFLOP/s: d_model 80, ")
    assert size.endswith("; a larger one would read too little")
    assert re.search(
        r" read the 900,000 to train on \d\.\d times; weight decay 0\.\d keeps the model", reading
    )
    assert judged.startswith("the last 10% are held out and judge the model once, at the end; config.toml ")
    size, _, judged = lines_of(0.5, 100_000)
    assert size.startswith("chosen for 0.5 minutes")
    assert size.endswith("; a larger one would sooner know the text by heart")
    assert re.search(r" judge the model \d+ times;", judged)
    size, reading, judged = lines_of(1, d_model=64, n_layers=1, weight_decay=0.0, val_fraction=0.0)
    assert "d_model 64, 1 layer, " in size
    assert size.endswith(", heads 4x16, as it was told")
    assert reading.endswith(" times")
    assert judged.startswith("nothing is held out")
    _, reading, _ = lines_of(1, 50_000_000)
    assert re.search(r" read 6\.\d% of the 49,800,000 to train on; more time would read more$", reading)


def test_rates_stay_open_to_follow_the_sizes():
    config = plan_of(60).config
    assert (config.lr, config.warmup, config.beta2, config.min_lr) == (None, None, None, None)
    assert config.rates.warmup == 100
