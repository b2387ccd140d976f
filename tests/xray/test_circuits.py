"""The weights of a head as circuits: what they say is what attention computes."""

import numpy as np
import pytest
from heads_by_hand import KINDS, random_model, text_of
from microgpt_kernels.contract import LAYERNORM_EPS

from microgpt.xray.circuits import circuits, singular_values


def normalised(rows):
    return (rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(
        rows.var(axis=1, keepdims=True) + LAYERNORM_EPS
    )


@pytest.mark.parametrize("shift", [False, True])
def test_the_circuits_read_normalised_rows_and_write_to_them(shift):
    """Without positions and biases: the scores of a head are those of its QK circuit, in the first layer."""
    model = random_model(**KINDS["linear"], token_shift=shift)
    model.p.qkv_b[...] = model.p.ln1_b[...] = 0
    reading = model.read(text_of(8))
    rows = normalised(model.p.tok[reading.ids[0]])
    if shift:
        rows[:, :3] = np.vstack([np.zeros(3), rows[:-1, :3]])
    for head in model.heads[:2]:
        q, k, v, o = circuits(model.p, head)
        qkv = reading.qkv[0, 0].reshape(7, 3, 6)[:, :, head.columns]
        assert np.allclose(rows @ q @ k.T @ rows.T, qkv[:, 0] @ qkv[:, 1].T)
        written = qkv[:, 2] @ model.p.proj_w[0, head.columns]
        assert np.allclose(rows @ v @ o, written - written.mean(axis=1, keepdims=True))


@pytest.mark.parametrize(("C", "D"), [(6, 1), (6, 3), (3, 6), (5, 5)])
def test_singular_values_are_those_of_the_product(C, D):
    random = np.random.default_rng(C + D)
    left, right = random.normal(size=(C, D)), random.normal(size=(D, 6))
    found = singular_values(left, right)
    expected = np.linalg.svd(left @ right, compute_uv=False)[: len(found)]
    assert np.allclose(found, expected, atol=1e-12)
    assert len(found) == min(C, D, 6)
