"""Recipes are options that can be given, and the rules give the rates that are documented."""

import dataclasses

import pytest

from microgpt.config import TrainConfig
from microgpt.recipes import HIGHEST_LR, RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_leaves_nothing_to_a_rule(name):
    config = TrainConfig("x", **RECIPES[name])
    for other in ({}, {"steps": 7}, {"d_model": 32}, {"batch_size": 64}):
        rates = dataclasses.replace(config, **other).rates
        assert (rates.lr, rates.warmup, rates.beta2) == (config.lr, config.warmup, config.beta2)


def test_the_plain_recipe_is_what_earlier_figures_are_of():
    config = TrainConfig("x", **RECIPES["plain"])
    assert (config.batch_size, config.order, config.positions) == (1, "sequential", "learned")
    assert (config.activation, config.token_shift, config.init) == ("relu", False, "small")
    assert config.attention_scale == "sqrt"
    assert [config.learning_rate(step) for step in (0, 500, 5000)] == [3e-4] * 3
    assert config.rates.beta2 == 0.999


@pytest.mark.parametrize(
    ("options", "lr"),
    [
        ({"batch_size": 1}, 0.0025),
        ({"batch_size": 4}, 0.005),
        ({}, 0.0025 * 8**0.5),
        ({"batch_size": 16}, 0.01),
        ({"d_model": 128, "batch_size": 4}, 0.0025),
        ({"d_model": 32, "batch_size": 1}, 0.005),
        ({"d_model": 16, "batch_size": 64}, HIGHEST_LR),
        ({"steps": 10**6, "seq_len": 7, "n_layers": 5, "d_ff": 999, "batch_size": 4}, 0.005),
    ],
    ids=str,
)
def test_the_rate_falls_with_the_width_and_grows_with_the_root_of_the_batch(options, lr):
    assert TrainConfig("x", **options).rates.lr == pytest.approx(lr)


def test_the_warm_up_is_a_tenth_of_the_steps_and_at_most_a_hundred():
    assert [TrainConfig("x", steps=n).rates.warmup for n in (1, 9, 10, 999, 1000, 10**6)] == [
        0,
        0,
        1,
        99,
        100,
        100,
    ]


def test_what_is_given_is_taken_and_the_lowest_rate_follows_the_schedule():
    given = TrainConfig("x", lr=0.1, min_lr=0.01, warmup=3, beta2=0.5)
    assert given.rates == (0.1, 0.01, 3, 0.5)
    lowest = {name: TrainConfig("x", lr=0.1, schedule=name).rates.min_lr for name in ("linear", "cosine")}
    assert lowest == {"linear": 0.0, "cosine": 0.01}
