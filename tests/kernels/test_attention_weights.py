"""The attention weights that are shown to whoever looks from outside are those that attention uses."""

import numpy as np
import pytest
from microgpt_kernels import load
from microgpt_kernels.attention_weights import attention_weights
from support import BY_NAME, CASES, CPU_BACKENDS, TOLERANCE, arguments, call, relative_error


@pytest.mark.parametrize("backend", ["reference", *CPU_BACKENDS])
@pytest.mark.parametrize("case", ["three", "seven", "forty-one"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_weights_times_the_values_are_what_attention_puts_out(backend, case, dtype):
    """Of every backend, however it lays out what it saves."""
    forward, sizes = BY_NAME["attention_forward"], CASES[case].sizes
    B, T, C = (sizes[letter] for letter in "BTC")
    values = arguments(forward, CASES[case], dtype)
    call(forward, load(backend).attention_forward, values)
    weights = attention_weights(values["qkv"], values["offsets"], values["scales"], B)
    assert weights.shape == (B, sizes["H"], T, T)
    v = values["qkv"].reshape(B, T, 3 * C)[:, :, 2 * C :].astype(np.float64)
    expected = np.zeros((B, T, C))
    for h, (low, high) in enumerate(zip(values["offsets"], values["offsets"][1:], strict=False)):
        expected[:, :, low:high] = weights[:, h] @ v[:, :, low:high]
    assert relative_error(values["out"], expected.reshape(B * T, C)) <= TOLERANCE[dtype]


def test_a_query_shares_itself_out_among_the_keys_up_to_its_own():
    values = arguments(BY_NAME["attention_forward"], CASES["seven"], "float32")
    weights = attention_weights(values["qkv"], values["offsets"], values["scales"], CASES["seven"].B)
    *heads, missing = np.moveaxis(weights, 1, 0)
    assert not missing.any()  # its width is 0
    for head in heads:
        assert np.allclose(head.sum(axis=-1), 1)
        assert (head[np.tril(np.ones(head.shape, bool))] > 0).all()
        assert not np.triu(head, 1).any()


def test_weights_by_hand():
    """Two positions, one head of two columns: the second query has scores of ln 3 and 0, times 2."""
    q, k, v = [[9, 9], [0.5, 0]], [[np.log(3), 5], [0, 7]], [[1, 1], [1, 1]]
    found = attention_weights(np.hstack([q, k, v]), np.array([0, 2]), np.array([2.0]))
    assert np.allclose(found, [[[[1, 0], [3 / 4, 1 / 4]]]], atol=1e-15)


def test_rows_that_are_no_whole_sequences_are_refused():
    with pytest.raises(ValueError, match="7 rows cannot be cut into 2 sequences of the same length"):
        attention_weights(np.zeros((7, 3)), np.array([0, 1]), np.ones(1), 2)
