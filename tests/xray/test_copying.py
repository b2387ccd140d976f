"""The copying score, against the eigenvalues of the whole circuit and where the answer is known."""

import numpy as np
import pytest
from heads_by_hand import KINDS, copies_the_previous_character, random_model

from microgpt.xray.circuits import circuits
from microgpt.xray.copying import copying


@pytest.mark.parametrize("kind", KINDS)
def test_the_eigenvalues_are_those_of_the_whole_circuit(kind):
    model = random_model(**KINDS[kind])
    tok = model.p.tok - model.p.tok.mean(axis=1, keepdims=True)
    E = tok / np.sqrt(tok.var(axis=1, keepdims=True) + 1e-5)
    U = model.p.lnf_w[:, None] * model.p.unembed_w
    U = U - U.mean(axis=1, keepdims=True)
    for found, head in zip(copying(model.p, model.heads), model.heads, strict=True):
        _, _, v, o = circuits(model.p, head)
        values = np.linalg.eigvals(E @ v @ o @ U)
        assert found == pytest.approx(values.sum().real / np.abs(values).sum(), abs=1e-6)
        assert -1 <= found <= 1


def test_a_head_that_copies_scores_1_its_opposite_minus_1_and_an_idle_one_nothing():
    model = copies_the_previous_character()
    copies, idle = copying(model.p, model.heads)
    assert copies == pytest.approx(1)
    assert np.isnan(idle)
    model.p.proj_w[...] *= -1
    assert copying(model.p, model.heads)[0] == pytest.approx(-1)
