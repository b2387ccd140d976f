"""The roofline: which kernels a step calls, what they have to do, and that timing them changes nothing."""

from collections import Counter

import numpy as np
import pytest
from microgpt_kernels import load
from microgpt_kernels.contract import KERNELS
from test_cli import fails, json_lines, run

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.measure import roofline
from microgpt.measure.roofline import Call, grouped, record, repeated, seconds, work
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.training.trainer import Trainer

BY_NAME = {kernel.name: kernel for kernel in KERNELS}
IDS = np.arange(100, dtype=np.uint8) % 7
V = 7
TINY = ("bench", 1, "--roofline", "--seq-len", 8, "--n-layers", 1, "--d-model", 16)


def configure(**options):
    sizes = {"seq_len": 6, "d_model": 8, "d_ff": 5, "n_layers": 2, "heads": "3+5", "dtype": "float32"}
    return TrainConfig(file="no file", **RECIPES["plain"] | sizes | options)


def step(**options):
    """The calls of a step on the reference."""
    config = configure(**options)
    return record(load("reference"), config.architecture(V), config, IDS)


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch):
    """The limit of products, found on matrices that take no time."""
    monkeypatch.setattr(roofline, "PEAK_SIZE", 32)


@pytest.mark.parametrize("n_shards", [1, 2])
def test_the_calls_of_a_step_are_all_recorded(n_shards):
    L = 2
    calls = step(batch_size=n_shards, n_layers=L)
    once = {"batch_fill", "gradient_norm", "step_record", "clock_advance"}
    expected = dict.fromkeys(once, 1) | {"adam_step": n_shards}
    expected |= {"shard_sum": n_shards} if n_shards > 1 else {}
    each = {"embedding": 1, "position": 1, "layernorm": 2 * L + 1, "linear": 4 * L + 1, "attention": L}
    each |= {"residual": 2 * L, "relu": L, "cross_entropy": 1}
    for name, n in each.items():
        expected |= {f"{name}_forward": n * n_shards, f"{name}_backward": n * n_shards}
    assert Counter(call.kernel.name for call in calls) == expected
    names = [call.kernel.name for call in calls]
    assert names[:2] == ["batch_fill", "embedding_forward"]
    assert names[-2:] == ["adam_step", "clock_advance"]
    assert {call.kernel.name for call in step(positions="rope")} >= {"rope_forward", "rope_backward"}
    squared = Counter(call.kernel.name for call in step(activation="relu2"))
    assert squared["relu_squared_forward"] == squared["relu_squared_backward"] == L
    assert not squared.keys() & {"relu_forward", "relu_backward"}
    shifted = Counter(call.kernel.name for call in step(token_shift=True))
    assert shifted["shift_forward"] == shifted["shift_backward"] == 2 * L
    assert not {"shift_forward", "shift_backward"} & set(names)


def test_a_recorded_step_is_a_step():
    config = configure()
    trainer = Trainer(place(load("reference"), config.architecture(V), Budget(None)), config, IDS)
    trainer.advance(1)
    adam = next(call for call in step() if call.kernel.name == "adam_step")
    assert np.array_equal(adam.arguments[0], trainer.host("param"))


def test_groups_are_calls_of_one_shape():
    calls = step()
    groups = grouped(calls)
    assert sum(n for _, n in groups) == len(calls)
    shapes = {work(call).shape: n for call, n in groups if call.kernel.name == "linear_forward"}
    assert shapes == {"6x8x24": 2, "6x8x8": 2, "6x8x5": 2, "6x5x8": 2, "6x8x7": 1}
    assert [work(call).shape for call, _ in groups if "attention" in call.kernel.name] == ["1x2x6x8"] * 2


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_products_of_a_step(batch_size):
    T, C, F, L = 6, 8, 5, 2
    weights = L * (3 * C * C + C * C + C * F + F * C) + C * V
    seen = sum(t + 1 for t in range(T))  # pairs of a query and a key
    forward = batch_size * (T * weights + L * 2 * seen * C)
    assert sum(work(call).flop for call in step(batch_size=batch_size)) == 2 * 3 * forward
    assert configure().architecture(V).flop_per_step(batch_size) == 2 * 3 * forward


def test_the_bytes_of_a_call():
    T, C, F = 6, 8, 5
    found = {call.kernel.name: work(call).moved for call, _ in reversed(grouped(step(n_layers=1)))}
    assert found["residual_forward"] == found["residual_backward"] == 4 * 3 * T * C
    assert found["relu_forward"] == 4 * 2 * T * F  # in place: read, and written
    assert found["linear_forward"] == 4 * (T * 3 * C + T * C + C * 3 * C + 3 * C)
    # the head's, without its scratch
    assert found["linear_backward"] == 4 * (T * C + C * V + V + T * V + T * C + C * V)
    assert found["attention_backward"] == 4 * (
        2 * T * 3 * C + 2 * T * C + 2 * T * T // 2 + 3 + 2
    )  # offsets, scales
    assert found["embedding_forward"] == 4 * (T * C + T)
    assert found["clock_advance"] == 2 * 16


def test_timing_changes_no_array():
    calls = [call for call, _ in grouped(step(batch_size=2, positions="rope"))]
    for call in calls:
        before = [array.tobytes() for _, array in call.arrays()]
        assert seconds(repeated(load("reference"), call.kernel.name), call) > 0
        assert [array.tobytes() for _, array in call.arrays()] == before, call.kernel.name


def test_what_works_in_place_is_repeated_less():
    longest = []
    a, b = np.ones((2, 3)), np.ones((2, 3))
    for arguments in ((a, b), (a, a)):
        turns = []
        seconds(lambda n, state, turns=turns: turns.append(n), Call(BY_NAME["relu_forward"], arguments))
        longest.append(max(turns))
    assert longest[1] <= roofline.MAX_CALLS_IN_PLACE < longest[0] <= roofline.MAX_CALLS


def test_a_kernel_takes_every_turn():
    clock = np.zeros(2, np.int64)
    repeated(load("crystal"), "clock_advance")(5, (clock,))
    assert clock[0] == 5
    out, inp = np.ones((2, 3), np.float32), -np.ones((2, 3), np.float32)
    repeated(load("crystal"), "residual_backward")(3, (out, inp))
    assert (out == -2).all()


@pytest.mark.parametrize("backend", ["reference", "crystal"])
def test_json(backend):
    *kernels, all_kernels, whole = json_lines(run(*TINY, "--backend", backend, "--json").stdout)
    assert {row["backend"] for row in (*kernels, all_kernels, whole)} == {backend}
    unused = {"rope_forward", "rope_backward", "shard_add", "shard_sum", "loss_sum", "interpolate", "sample"}
    unused |= {"relu_squared_forward", "relu_squared_backward", "shift_forward", "shift_backward"}
    assert {row["kernel"] for row in kernels} == BY_NAME.keys() - unused
    assert (all_kernels["kernel"], whole["kernel"]) == ("all kernels", "whole step")
    for row in (*kernels, all_kernels, whole):
        assert 0 < row["us_per_call"] <= row["us_per_step"] < np.inf
        assert 0 < row["limit_us"] < np.inf
        assert row["share_of_limit"] == row["limit_us"] / row["us_per_call"]
    times = [row["us_per_step"] for row in kernels]
    assert times == sorted(times, reverse=True)
    assert all_kernels["us_per_step"] == pytest.approx(sum(times))
    assert all_kernels["flop"] == whole["flop"] == sum(row["flop"] * row["calls"] for row in kernels)


def test_the_table():
    title, header, *lines, _, last = run(*TINY, "--backend", "reference").stdout.strip().splitlines()
    assert title.startswith("reference on one thread, float32, B1 T8 C16 L1 F16 V")
    assert header.split()[:3] == ["kernel", "shape", "calls"]
    assert [line[:11] for line in lines[-2:]] == ["all kernels", "whole step "]
    assert max(map(len, (title, header, *lines, last))) <= 100
    assert last.startswith("products in the whole step: ")


def test_what_cannot_be_measured():
    assert fails(*TINY, "--threads", 2, code=2) == (
        "--roofline measures kernels on one thread: leave --threads away"
    )
    assert "no backend 'blas'" in fails(*TINY, "--backend", "blas")
    assert "sum to 15" in fails(*TINY, "--heads", "7+8", code=2)
