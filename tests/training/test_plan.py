"""The choice for a time: a pure function of the time, the text, the given options and the machine's speed."""

import re
from itertools import pairwise

import numpy as np
import pytest

from microgpt.training.counting import ORDER, TIME, Counting
from microgpt.training.ladder import NoSizeError, memory
from microgpt.training.plan import (
    FADING,
    LEAST_DECAY,
    MOST_EPOCHS,
    MOST_EVALUATIONS,
    MOST_HELD_OUT,
    MOST_WEIGHTS,
    SIZES,
    SOME_MORE,
    Speed,
    characters_worth,
    choose,
    reasons,
)

SPEED = Speed(training=1e11, evaluation=5e10)
# as measured on texts of a million characters; without a variety, all n-grams could be different
COUNTING = Counting(1e7, (1e-4, 2e-3, 0.02, 0.1, 0.2, 0.3))
# characters and distinct ones: usual, short and long texts, and odd ones
TEXTS = {
    "a novel": (1_000_000, 65), "a chapter": (100_000, 65), "a library": (50_000_000, 200),
    "three characters": (3, 3), "one character": (5000, 1), "all different": (50_000, 50_000),
}  # fmt: skip
# seconds, a little further apart than the sizes of the models are
TIMES = 1.04 ** np.arange(-20, 200)


def plan_of(seconds, n_characters=1_000_000, vocabulary_size=65, speed=SPEED, counting=COUNTING, **given):
    return choose(seconds, n_characters, vocabulary_size, {"file": "x", **given}, speed, counting)


@pytest.mark.parametrize(
    ("text", "counting"),
    [
        *((text, COUNTING) for text in TEXTS),
        ("a novel", Counting(1e5)),
        ("a novel", Counting(2e3, COUNTING.variety)),
        ("a library", Counting(1e6)),
    ],
)
def test_more_time_never_chooses_a_smaller_model_or_fewer_characters(text, counting):
    plans = [plan_of(seconds, *TEXTS[text], counting=counting) for seconds in TIMES]
    for before, after in pairwise(plans):
        assert after.size.weights >= before.size.weights
        assert after.characters >= before.characters
        assert after.config.ngrams >= before.config.ngrams
    n_characters, _ = TEXTS[text]
    if n_characters > 10_000:
        assert plans[-1].size.weights > 10 * plans[0].size.weights
        assert plans[-1].characters > 3 * plans[0].characters


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("a chapter", seconds) for seconds in (0.5, 3, 12, 60)),
        *(("a novel", seconds) for seconds in (0.5, 3, 12, 60, 600)),
        *(("a library", seconds) for seconds in (0.5, 3, 12, 60, 600, 36_000)),
    ],
)
def test_the_time_is_used_and_kept(text, seconds):
    plan = plan_of(seconds, *TEXTS[text])
    assert 0.92 < plan.seconds / seconds <= 1.001
    # of a size that is known, so many steps are taken that nothing is left over
    sizes = {name: getattr(plan.config, name) for name in SIZES}
    filled = plan_of(seconds, *TEXTS[text], **sizes)
    assert filled.size.architecture == plan.size.architecture
    assert 0.98 < filled.seconds / seconds <= 1.001


@pytest.mark.parametrize("text", ["a chapter", "three characters", "one character"])
def test_a_text_that_has_no_more_to_teach_ends_the_run_before_its_time(text):
    n_characters, V = TEXTS[text]
    plan = plan_of(36_000, n_characters, V)
    assert plan.seconds < 0.5 * 36_000
    assert plan.config == plan_of(360_000, n_characters, V).config
    assert plan.size.weights <= 1.1 * MOST_WEIGHTS * plan.n_train or n_characters < 10_000
    # as well where the sizes stay those of an earlier choice
    settled = choose(36_000, n_characters, V, {"file": "x"}, SPEED, COUNTING, plan)
    assert abs(settled.config.steps - plan.config.steps) <= 1
    assert MOST_EPOCHS <= plan.epochs < MOST_EPOCHS + 1 or n_characters < 10_000
    _, reading, *_ = reasons(plan, 600, {}, SPEED)
    assert re.search(r" times, in [\d.,]+ s; to read them more often would be learning by heart$", reading)


@pytest.mark.parametrize("text", ["a novel", "a library"])
def test_counting_n_grams_is_a_part_of_the_time(text):
    """Where it takes long, the time is kept, and used but for the moment before there are n-grams."""
    begun = []
    for seconds in TIMES[50::3]:
        plan = plan_of(seconds, *TEXTS[text], counting=Counting(3e5, COUNTING.variety))
        if plan.config.ngrams:
            assert plan.ngrams.seconds <= TIME * seconds
            begun.append(seconds)
        counted = plan.ngrams.seconds if plan.config.ngrams else 0.0
        part = 0.92 if begun or seconds < plan.ngrams.seconds * (1 / TIME - 1) else 0.92 * (1 - TIME)
        assert part * seconds < plan.seconds <= 1.001 * seconds or plan.config.steps == 1
        training = plan.config.steps * plan.size.step / SPEED.training
        assert training < plan.seconds - counted
    assert begun[0] < 1.13 * plan.ngrams.seconds / TIME


def test_what_is_counted_in_a_moment_is_counted_in_any_time():
    plan = plan_of(0.01)
    assert (plan.config.ngrams, plan.config.steps) == (ORDER, 1)
    assert 0.1 < plan.ngrams.seconds < plan.seconds < 0.5


def test_n_grams_are_those_that_are_given():
    for given in (0, 3, 16):
        plan = plan_of(60, ngrams=given)
        assert plan.config.ngrams == given
        assert plan.ngrams.order == min(given, 10)  # of 65 characters, no longer ones can be counted
    # also where they take long
    plan = plan_of(1, ngrams=4, counting=Counting(1e5))
    assert (plan.config.ngrams, plan.config.steps) == (4, 1)
    assert plan_of(1, counting=Counting(1e5)).config.ngrams == 0
    assert plan_of(1, ngrams=0).config.steps > plan_of(1).config.steps


def test_the_order_is_one_that_can_be_counted_and_fits_the_memory():
    def order_of(*text, cap="2GiB", variety=COUNTING.variety):
        plan = plan_of(600, *text, counting=Counting(1e7, variety), memory_cap=cap)
        n_val = round(text[0] * plan.config.val_fraction)
        config, ngrams = plan.config, plan.ngrams
        assert ngrams.order == config.ngrams
        needed = memory(plan.size, text[0] - n_val, n_val, ngrams.n_bytes)
        assert config.memory_cap_bytes is None or needed <= config.memory_cap_bytes
        return config.ngrams

    assert order_of(1_000_000, 65) == ORDER
    assert order_of(50_000_000, 200) == ORDER
    assert order_of(1_000_000, 3000) == 5
    assert order_of(1_000_000, 50_000) == 4
    assert order_of(50_000_000, 200, variety=()) == 3
    assert order_of(1_000_000, 65, cap="none", variety=()) == ORDER
    caps = [order_of(1_000_000, 65, cap=f"{cap}MB") for cap in (3, 6, 20, 80)]
    assert sorted(caps) == caps
    assert caps[0] < 4 < caps[-1]


def test_nothing_held_out_has_n_grams_all_the_same():
    """With the weight 1/2: of 900 characters a network learns so little that 6-grams alone are better."""
    assert plan_of(1, 900).config.ngrams == plan_of(1, 3, 3).config.ngrams == ORDER


def test_a_faster_machine_is_more_time():
    slow = plan_of(120, counting=Counting(1e6, COUNTING.variety))
    fast = plan_of(60, speed=Speed(2e11, 1e11), counting=Counting(2e6, COUNTING.variety))
    assert slow.config == fast.config


def test_long_texts_are_read_whole_before_a_larger_model_is_chosen():
    worth = [characters_worth(weights, 10_000_000) for weights in range(1000, 3_000_000, 1000)]
    assert sorted(worth) == worth
    assert not any(5_000_000 <= characters < 10_000_000 for characters in worth)


def test_what_is_learned_fades_in_a_part_of_an_epoch():
    for n_characters, seconds in ((100_000, 12), (100_000, 60), (1_000_000, 60), (1_000_000, 600)):
        plan = plan_of(seconds, n_characters)
        steps = 1 / (plan.config.rates.lr * plan.config.weight_decay)
        assert steps * plan.size.characters / plan.n_train == pytest.approx(FADING, rel=0.05)
    assert plan_of(60, 10_000_000).config.weight_decay == LEAST_DECAY
    # it is not so strong that a step would take all of a weight, nor divided by a rate of 0
    config = plan_of(60, 300).config
    assert config.rates.lr * config.weight_decay < 0.06
    # a rate that is given leaves it as it is
    for rate in (0.0, 1e-12, 3e-4, 1.0):
        given = plan_of(12, 100_000, lr=rate).config
        assert given.weight_decay == plan_of(12, 100_000).config.weight_decay


def test_no_text_is_read_more_often_than_is_worth_it_unless_the_sizes_are_given():
    """However much faster the machine has become since the sizes were chosen."""
    slow = plan_of(12, 100_000)
    fast = choose(12, 100_000, 65, {"file": "x"}, Speed(1e12, 5e11), COUNTING, slow)
    assert fast.config.d_model == slow.config.d_model
    assert MOST_EPOCHS <= fast.epochs < SOME_MORE * MOST_EPOCHS + 0.1
    assert not fast.exhausted
    sizes = {name: getattr(slow.config, name) for name in SIZES}
    assert plan_of(12, 100_000, speed=Speed(1e12, 5e11), **sizes).epochs > 2 * MOST_EPOCHS


def test_time_that_is_left_over_without_n_grams_is_said():
    counting = Counting(2e6, COUNTING.variety)
    plan = plan_of(40, 20_000_000, counting=counting)
    about = reasons(plan, 40 / 60, {}, SPEED)[2]
    assert plan.config.ngrams == 0
    assert plan.seconds < 0.9 * 40
    assert re.search(r"too much of this time; [\d.]+ s are left over, so that with more time ", about)


def test_a_short_text_is_read_more_often():
    short, long = plan_of(60, 100_000), plan_of(60, 10_000_000)
    assert short.epochs > 10 * long.epochs
    assert short.evaluations > long.evaluations


def test_what_is_held_out_is_a_tenth_but_no_more_than_is_needed():
    assert plan_of(60, 1_000_000).config.val_fraction == 0.1
    assert 50_000_000 * plan_of(60, 50_000_000).config.val_fraction == MOST_HELD_OUT
    assert plan_of(60, 100).config.val_fraction == 0


def test_evaluations_take_two_hundredths_of_the_time():
    for seconds in (10, 30, 60):
        plan = plan_of(seconds, 100_000)
        assert 1 < plan.evaluations <= MOST_EVALUATIONS
        assert plan.config.steps * plan.size.step / SPEED.training > 0.9 * plan.seconds
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


def test_the_reasons_are_three_lines_and_one_about_n_grams():
    def lines_of(minutes, *text, ngrams="6-grams of the text, counted in a", counting=COUNTING, **given):
        plan = plan_of(60 * minutes, *text, counting=counting, **given)
        lines = reasons(plan, minutes, given, SPEED)
        about = lines.pop(2) if "ngrams" not in given else ""
        assert about.startswith(ngrams) or "ngrams" in given
        assert len(lines) == 3
        return lines

    size, reading, judged = lines_of(1)
    assert size.startswith("chosen for 1 minute at 100 GFLOP/s in steps: d_model 64, ")
    assert size.endswith("; a larger one would read too little")
    assert re.search(r" read the 900,000 to train on \d\.\d times; weight decay 0\.\d+, so that ", reading)
    assert judged.startswith("the last 10% are held out and judge the model once, at the end; config.toml ")
    size, _, judged = lines_of(0.5, 100_000)
    assert size.startswith("chosen for 0.5 minutes")
    assert size.endswith("; a larger one would read too little")
    assert re.search(r" judge the model \d+ times;", judged)
    size, reading, judged = lines_of(1, d_model=64, n_layers=1, weight_decay=0.0, val_fraction=0.0)
    assert "d_model 64, 1 layer, " in size
    assert size.endswith(", heads 4x16, as it was told")
    assert reading.endswith(" times")
    assert judged.startswith("nothing is held out")
    _, reading, _ = lines_of(1, 50_000_000)
    assert re.search(r" read \d\.\d% of the 49,800,000 to train on; more time would read more$", reading)

    lines_of(1, ngrams="6-grams of the text, counted in about 0.2 s, predict beside the network")
    lines_of(1, 10_000, ngrams="6-grams of the text, counted in a moment, predict beside the network")
    lines_of(
        1, 50_000, 3000, ngrams="5-grams of the text, counted in a moment, predict beside the network; of "
    )
    lines_of(1, 50_000_000, 200, counting=Counting(1e7), ngrams="trigrams of the text, ")
    why = "without n-grams of the text: to count them takes about 190.0 s, too much of this time"
    lines_of(1, counting=Counting(1e4), ngrams=why)
    why = "without n-grams of the text, which would not fit the memory cap"
    lines_of(1, 1_000_000, 65, memory_cap="1.1MB", ngrams=why)
    assert "gram" not in "".join(reasons(plan_of(60, ngrams=0), 1, {"ngrams": 0}, SPEED))


def test_rates_stay_open_to_follow_the_sizes():
    config = plan_of(60).config
    assert (config.lr, config.warmup, config.beta2, config.min_lr) == (None, None, None, None)
    assert config.rates.warmup == 100
