"""The parameters: how many there are, where each lies, and what it is at first."""

import numpy as np
import pytest
from microgpt_kernels import reference

from microgpt.arrays import BLOCK
from microgpt.config import TrainConfig
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import count, decay_blocks, fill, initial, initially, slot_views, table, views


def model(**change) -> Architecture:
    return TrainConfig(**{"file": "x", "seq_len": 32, "positions": "learned", **change}).architecture(65)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 60_993),
        ({"heads": "ones"}, 60_993),  # how the columns are cut into heads adds nothing
        ({"positions": "rope"}, 60_993 - 32 * 64),
        ({"positions": "none"}, 60_993 - 32 * 64),
        ({"seq_len": 128}, 60_993 + 96 * 64),
        # a layer: two norms, q k v, the projection, and the two maps of the MLP, each with a bias
        ({"n_layers": 3}, 60_993 + 4 * 64 + 3 * 64 * 65 + 64 * 65 + 2 * 64 * 65),
        ({"d_ff": 65}, 60_993 + 2 * (64 + 1 + 64)),
    ],
    ids=str,
)
def test_the_number_of_parameters(change, expected):
    assert count(table(model(**change).sizes)) == expected


def test_the_views_cover_the_buffer_once():
    tensors = table(model().sizes)
    buffer = np.zeros(count(tensors))
    for view in views(buffer, tensors):
        view += 1
    assert (buffer == 1).all()
    shards = np.zeros(3 * count(tensors))
    for number in range(3):
        for view in slot_views(shards, tensors, 3):
            view[number] += 1
    assert (shards == 1).all()


def test_initial_values_depend_on_the_seed_alone():
    tensors = table(model().sizes)
    single, double = (initial(tensors, 7, dtype) for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(single, double, rtol=1e-6)
    assert (initial(tensors, 7, np.float64) == double).all()
    assert (initial(tensors, 8, np.float64) != double).any()
    # a larger MLP leaves all other tensors as they are
    wider_tensors = table(model(d_ff=80).sizes)
    wider = views(initial(wider_tensors, 7, np.float64), wider_tensors)
    assert (wider.qkv_w == views(double, tensors).qkv_w).all()


def test_embeddings_are_large_or_small_and_the_rest_is_the_same():
    tensors = table(model(seq_len=512).sizes)
    large, small = (
        views(initial(initially(tensors, init), 7, np.float64), tensors) for init in ("large", "small")
    )
    assert {name for name in large._fields if (getattr(large, name) != getattr(small, name)).any()} == {
        "tok",
        "pos",
    }
    stds = [getattr(params, name).std() for params in (large, small) for name in ("tok", "pos")]
    assert stds == pytest.approx([0.5, 0.5, 0.0075, 0.004], rel=0.05)


def test_drawing_in_blocks_draws_the_same_numbers():
    tensors = table(model(d_model=256, n_layers=3).sizes)
    assert max(tensor.high - tensor.low for tensor in tensors) > 3 * BLOCK
    number, tensor = next((i, t) for i, t in enumerate(tensors) if t.name == "qkv_w")
    at_once = np.random.default_rng((5, number)).normal(0.0, 1 / 16, tensor.high - tensor.low)
    assert np.array_equal(initial(tensors, 5, np.float64)[tensor.low : tensor.high], at_once)
    assert np.array_equal(
        initial(tensors, 5, np.float32)[tensor.low : tensor.high], at_once.astype(np.float32)
    )


def test_matrices_decay_and_nothing_else():
    tensors = table(model().sizes)
    buffer = fill(reference, np.zeros(count(tensors), np.float32), decay_blocks(tensors, 0.5, np.float32))
    decay = views(buffer, tensors)
    matrices = {"qkv_w", "proj_w", "up_w", "down_w", "unembed_w"}
    assert {name for name, view in decay._asdict().items() if view.any()} == matrices
    assert all((getattr(decay, name) == 0.5).all() for name in matrices)
