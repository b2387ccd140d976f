"""Numbers too small to be normal, which many processors are slow with: no step leaves any."""

import numpy as np
import pytest
from microgpt_kernels import load
from support import CPU_BACKENDS, TOLERANCE, make_trainer

from microgpt.config import TrainConfig
from microgpt.model.parameters import initial, table
from microgpt.recipes import RECIPES


def n_denormal(values):
    return np.count_nonzero((values != 0) & (np.abs(values) < np.finfo(values.dtype).tiny))


def adam(param, m, v, grad, step):
    one = np.ones(1, param.dtype)
    clock = np.array([step, 0], np.int64)
    load("crystal").adam_step(param, m, v, grad, one, one, one[:0], clock, 0.9, 0.999, 1e-8, 0.0)


@pytest.mark.parametrize("size", [1, 63, 1000])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_moment_that_shrinks_becomes_zero_before_it_is_denormal(dtype, size):
    rng = np.random.default_rng(size)
    param, grad = rng.normal(size=size).astype(dtype), np.zeros(size, dtype)
    smallest = float(np.finfo(dtype).tiny)
    m = (smallest * 2 ** rng.uniform(10, 40, size) * rng.choice([-1, 1], size)).astype(dtype)
    v = (smallest * 2 ** rng.uniform(10, 40, size)).astype(dtype)
    before = param.copy()
    for step in range(300):
        adam(param, m, v, grad, step)
        assert n_denormal(m) == n_denormal(v) == 0
    # 0.9 ** 300 is 2 ** -46, and 0.999 ** 300 is 0.74
    assert not m.any()
    assert 0 < np.count_nonzero(v) <= size
    assert np.array_equal(param, before)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_no_parameter_notices_whether_such_a_moment_is_zero(dtype):
    rng = np.random.default_rng(1)
    smallest = np.finfo(dtype).tiny
    params = []
    for tiny in (0, 1024 * smallest):
        param = np.linspace(-1, 1, 500, dtype=dtype)  # 0 is not among them
        m, v = np.full(500, -tiny, dtype), np.full(500, tiny, dtype)
        for step in range(100):
            rng = np.random.default_rng(step)
            # some have no gradient, others one of every size
            grad = rng.normal(size=500) * 10 ** rng.uniform(-12, 0, 500) * (np.arange(500) % 3 > 0)
            adam(param, m, v, grad.astype(dtype), step)
        params.append(param)
    assert np.array_equal(*params)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_moments_that_are_no_numbers_are_not_hidden(dtype):
    for bad in (np.nan, np.inf):
        m, v, param = (np.full(100, value, dtype) for value in (bad, bad, 1))
        for step in range(64):
            adam(param, m, v, np.zeros(100, dtype), step)
        assert not np.isfinite(m).any()
        assert not np.isfinite(v).any()


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_text_whose_characters_come_and_go_leaves_no_denormal_moments(backend):
    rng = np.random.default_rng(0)
    text = np.concatenate([rng.integers(part * 10, part * 10 + 10, 4000) for part in range(3)]).astype(
        np.uint8
    )
    config = TrainConfig(
        **RECIPES["plain"]
        | {"file": "no file", "backend": backend, "seq_len": 4, "d_model": 16, "n_layers": 1, "lr": 1e-3}
    )
    model = config.architecture(30)
    trainer = make_trainer(backend, config, text, 30, initial(table(model.sizes), 1, model.dtype))
    for _ in range(30):
        trainer.advance(100)
        assert n_denormal(trainer.host("m")) == n_denormal(trainer.host("v")) == 0
    # there were some that would have been: they were trained, and have not been touched for 1000 steps
    assert np.count_nonzero((trainer.host("m") == 0) & (trainer.host("v") > 0)) >= 20 * 16


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_the_squared_rectifier_leaves_no_denormal_numbers(backend):
    """The square of 1e-20 would be one in float32, but sums of products are either 0 or far larger."""
    text = np.random.default_rng(0).integers(0, 30, 4000).astype(np.uint8)
    config = TrainConfig("no file", backend=backend, seq_len=16, d_model=16, n_layers=2, weight_decay=1.0)
    model = config.architecture(30)
    trainer = make_trainer(backend, config, text, 30, initial(table(model.sizes), 1, model.dtype))
    for _ in range(20):
        trainer.advance(50)
        a = trainer.state.a
        assert a.hidden.any()
        assert n_denormal(a.hidden) == n_denormal(a.dhidden) == 0
