"""All measures together: they fit together, and of a model made by hand they are known."""

import numpy as np
import pytest
from heads_by_hand import KINDS, VOCABULARY, copies_the_previous_character, random_model, text_of, xray_of

from microgpt.errors import MicrogptError


def test_the_measures_of_a_text_fit_together():
    model, ids = random_model(**KINDS["rope-shifted"]), text_of(50)
    found = xray_of(model, ids, with_shapley=True)
    H, n = 4, 49
    assert found.text == VOCABULARY.decode(ids)
    assert found.bits.mean() == pytest.approx(found.ablations.all_on)
    assert found.shapley.bits.sum() == pytest.approx(found.ablations.all_off - found.ablations.all_on)
    assert found.fairness.per_column == pytest.approx(found.shapley.bits / [5, 1, 2, 4])
    assert found.attribution.shape == (n, len(found.part_names))
    assert found.utilisation == pytest.approx(found.ranks / np.array([[5], [1], [2], [4]]))
    for name in ("gradient_importance", "induction", "copying"):
        assert getattr(found, name).shape == (H,)
    assert [head.name for head in found.heads] == ["1.1", "1.2", "2.1", "2.2"]


def test_the_head_that_copies_is_worth_all_and_the_idle_one_nothing():
    """In a text that repeats every second character, each is the one before the last."""
    found = xray_of(copies_the_previous_character(), np.array([2, 3] * 30, np.uint8))
    without = found.ablations
    assert without.mean.bits[0] == pytest.approx(without.all_off - without.all_on)
    assert without.mean.bits[0] > 0.5
    assert without.mean.bits[1] == without.zero.bits[1] == 0
    assert found.shapley is None
    assert found.fairness.per_column == pytest.approx([without.mean.bits[0] / 7, 0])
    assert found.fairness.gini == pytest.approx(13 / 20)  # all is in 7 of 20 columns
    assert found.patterns.offsets[0, 0] == pytest.approx(1)
    assert found.ranks[1].tolist() == [0, 0, 0]
    assert without.all_off > 1, "without attention it cannot know which of the two comes"


def test_a_text_of_one_character_is_too_short():
    with pytest.raises(MicrogptError, match="at least 2 characters"):
        xray_of(random_model(), text_of(1))
