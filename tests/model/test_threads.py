"""A batch in shards: one curve, bit for bit, whatever the number of threads; and that of the whole batch."""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from microgpt_kernels import load
from support import CPU_BACKENDS, OneShard, make_trainer, relative_error

from microgpt.config import TrainConfig
from microgpt.machine import cores
from microgpt.model import shards
from microgpt.model.parameters import initial, table
from microgpt.recipes import RECIPES

VOCABULARY, N_STEPS = 33, 12
TEXT = np.random.default_rng(5).integers(0, VOCABULARY, 2000).astype(np.uint8)


@pytest.fixture
def run(monkeypatch):
    """Losses, norms and last parameters of a run on a machine with many cores, of which two do the work."""
    n_threads_before = numba.get_num_threads()
    monkeypatch.setattr(cores, "available_cores", lambda: 64)
    # a shard for each sequence
    monkeypatch.setattr(shards, "LEAST_ROWS", 16)

    def curve(backend, batch_size, n_threads, config=TrainConfig, lr=1e-2):
        config = config(
            **RECIPES["plain"]
            | {"file": "no file", "heads": "prime", "seq_len": 16, "batch_size": batch_size, "lr": lr}
            | {"threads": n_threads}
        )
        model = config.architecture(VOCABULARY)
        param = initial(table(model.sizes), 1, model.dtype)
        trainer = make_trainer(backend, config, TEXT, VOCABULARY, param)
        trainer.k.set_threads(min(2, n_threads))
        losses = trainer.advance(N_STEPS)
        return losses.loss, losses.grad_norm, trainer.host("param")

    yield curve
    numba.set_num_threads(n_threads_before)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 7, 8, 32, 64], ids="batch-{}".format)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_threads_change_no_bit(run, backend, batch_size):
    one = run(backend, batch_size, 1)
    for n_threads in (2, 2, 4, 64):  # twice the same, and then other groups of shards
        for expected, actual in zip(one, run(backend, batch_size, n_threads), strict=True):
            assert np.array_equal(expected, actual)


@pytest.mark.parametrize("batch_size", [2, 7, 64], ids="batch-{}".format)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_shards_add_up_to_the_whole_batch(run, backend, batch_size):
    # at a large rate Adam makes whole steps out of rounding, wherever a gradient is all but zero
    cut, whole = (run(backend, batch_size, 2, config, lr=1e-3) for config in (TrainConfig, OneShard))
    assert relative_error(cut[0], whole[0]) < 1e-5
    assert relative_error(cut[1], whole[1]) < 1e-4


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_kernels_that_run_at_the_same_time_do_not_meet(backend):
    """Matrix products in two Python threads, which no lock keeps apart: BLAS has state of its own."""
    k = load(backend)
    rng = np.random.default_rng(0)
    dout, inp, weight = (
        rng.normal(size=shape).astype(np.float32) for shape in ((32, 64), (32, 65), (65, 64))
    )

    def products(_):
        dinp, dweight, dbias, scratch = (
            np.zeros(n, np.float32) for n in (inp.shape, weight.shape, 64, 65 * 64)
        )
        k.linear_backward(dinp, dweight, dbias, scratch, dout, inp, weight)
        return dinp.tobytes() + dweight.tobytes() + dbias.tobytes()

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(products, range(500))) == {products(0)}
