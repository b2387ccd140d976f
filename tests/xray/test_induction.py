"""The random strings that are repeated, and the weight of what followed last time."""

import tracemalloc

import numpy as np
import pytest
from heads_by_hand import V, copies_the_previous_character, random_model

from microgpt.xray.induction import STRINGS, induction, repeated_strings


@pytest.mark.parametrize(("n_characters", "T"), [(65, 32), (3, 13), (1, 4), (65, 1)])
def test_strings_are_repeated_and_use_all_characters_alike(n_characters, T):
    ids = repeated_strings(n_characters, T)
    assert len(ids) == STRINGS * T + 1
    for window in ids[:-1].reshape(STRINGS, T):
        half = T // 2
        assert np.array_equal(window[:half], window[half : 2 * half])
        counts = np.bincount(window[:half], minlength=n_characters)
        assert counts.max(initial=0) <= -(-half // n_characters)
    assert ids.max() < n_characters


@pytest.mark.parametrize("T", [7, 8])
def test_the_score_is_the_weight_of_what_followed_last_time(T):
    model = random_model(seq_len=T, heads="2+4")
    reading = model.read(repeated_strings(V, T))
    p = T // 2
    for found, head in zip(induction(reading, model.heads), model.heads, strict=True):
        weights = reading.attention(head, slice(0, STRINGS))
        assert found == pytest.approx(np.mean([w[t, t - p + 1] for w in weights for t in range(p, 2 * p)]))


def test_a_head_that_knows_the_period_has_a_score_of_1():
    """A window of 4 has a period of 2, and what followed last time is the character before."""
    model = copies_the_previous_character(T=4)
    looks_back, idle = induction(model.read(repeated_strings(V, 4)), model.heads)
    assert looks_back == pytest.approx(1)
    assert idle == pytest.approx((1 / 3 + 1 / 4) / 2)


def test_short_windows_have_no_room_for_it():
    model = random_model(seq_len=3, heads="6")
    assert np.isnan(induction(model.read(repeated_strings(V, 3)), model.heads)).all()


def test_the_weights_of_one_window_at_a_time_are_kept():
    model = random_model(seq_len=256, heads="6")
    reading = model.read(repeated_strings(V, 256))
    tracemalloc.start()
    induction(reading, model.heads)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < STRINGS / 2 * 256**2 * 8
