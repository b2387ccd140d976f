"""Gradient importance, against finite differences on the scale of each head."""

import math

import pytest
from heads_by_hand import KINDS, copies_the_previous_character, random_model, text_of

from microgpt.xray.importance import gradient_importance

STEP = 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_how_fast_the_losses_of_windows_change_with_the_scale_of_a_head(kind):
    model, ids = random_model(**KINDS[kind]), text_of(20)
    importance = gradient_importance(model.read(ids), model.heads)
    for found, head in zip(importance, model.heads, strict=True):
        rows = model.p.proj_w[head.layer, head.columns]  # of a model on a CPU, the model's own
        kept, losses = rows.copy(), []
        for scale in (1 + STEP, 1 - STEP):
            rows[...] = scale * kept
            losses.append(model.read(ids).losses)
        rows[...] = kept
        slopes = (losses[0] - losses[1]) / (2 * STEP)
        expected = sum(abs(slopes[begin : begin + 7].sum()) for begin in range(0, 19, 7)) / 19
        assert found == pytest.approx(expected / math.log(2), rel=1e-6)


def test_a_head_that_does_nothing_has_none():
    model = copies_the_previous_character()
    copying, idle = gradient_importance(model.read(text_of(50)), model.heads)
    assert copying > 0.01
    assert idle == 0


def test_opposite_slopes_do_not_cancel_out():
    model, ids = random_model(), text_of(15)
    reading = model.read(ids)
    reading.gradients[1] = -reading.gradients[0]
    assert (gradient_importance(reading, model.heads) > 0).all()
