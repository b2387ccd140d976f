"""The arrays of a forward pass: which of them a model has."""

import dataclasses

import pytest

from microgpt.config import TrainConfig
from microgpt.model.activations import activation_bytes, shapes


@pytest.mark.parametrize("training", [False, True])
def test_only_a_model_that_shifts_in_time_has_arrays_for_it(training):
    config = TrainConfig("no file", seq_len=8, d_model=6, heads="6", n_layers=3)
    plain = dataclasses.replace(config, token_shift=False)
    found, without = (
        shapes(each.architecture(5), n_sequences=2, training=training) for each in (config, plain)
    )
    assert [found.pop(name) for name in ("shift1", "shift2")] == [(3, 16, 6)] * 2
    assert [without.pop(name) for name in ("shift1", "shift2")] == [(3, 0, 6)] * 2
    assert found == without  # the backward pass has no array of its own for it
    used, saved = (activation_bytes(each.architecture(5), n_sequences=2) for each in (config, plain))
    assert used - saved == 2 * 3 * 16 * 6 * 4
