"""What each part adds to a logit: the parts sum to it, and each is what is missing without it."""

import numpy as np
import pytest
from heads_by_hand import KINDS, copies_the_previous_character, random_model, text_of
from microgpt_kernels import reference
from support import relative_error

from microgpt.model.activations import activations
from microgpt.model.transformer import build
from microgpt.xray.attribution import attribution, part_names


def passed(model, ids):
    """The activations of a forward pass over one window."""
    forward, _ = build(reference)
    a = activations(model.placed, n_sequences=1)
    rows = slice(0, len(ids))
    forward(model.placed.p, a, model.placed.c, ids, 0, rows, rows, slice(0, 1))
    return a


def logits_of(model, ids):
    T = model.architecture.seq_len
    return np.concatenate(
        [passed(model, ids[i : i + T]).logits[: len(ids[i : i + T])] for i in range(0, len(ids), T)]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_sum_to_the_logit(kind):
    model, ids = random_model(**KINDS[kind]), text_of(25)
    parts = attribution(model.read(ids), model.heads, model.p, ids)
    logits = logits_of(model, ids[:-1])
    expected = logits[np.arange(24), ids[1:]] - logits.mean(axis=1)
    assert relative_error(parts.sum(axis=1), expected) < 1e-12
    assert parts.shape == (24, len(part_names(model.heads, model.p)))


def test_a_part_is_what_the_logit_loses_without_it():
    """Of the stream's last row, with the factor of the final layer norm held."""
    model, ids = random_model(**KINDS["learned"]), text_of(8)
    p, a = model.p, passed(model, ids[:7])
    parts = attribution(model.read(ids), model.heads, p, ids)
    names = part_names(model.heads, p)
    assert names == ["embedding", "positions", "1.1", "1.2", "1.3", "mlp 1", "2.1", "mlp 2", "bias"]

    def logit(stream):
        centred = stream - stream.mean(axis=1, keepdims=True)
        logits = (a.rstdf[:, None] * centred * p.lnf_w + p.lnf_b) @ p.unembed_w + p.unembed_b
        return logits[np.arange(7), ids[1:]] - logits.mean(axis=1)

    written = {
        "embedding": p.tok[ids[:7]],
        "positions": p.pos,
        "1.2": a.heads[0][:, 1:3] @ p.proj_w[0][1:3],
        "2.1": a.heads[1] @ p.proj_w[1],
        "mlp 1": a.hidden[0] @ p.down_w[0],
    }
    for name, part in written.items():
        lost = logit(a.x[-1]) - logit(a.x[-1] - part)
        assert relative_error(parts[:, names.index(name)], lost) < 1e-12, name


def test_what_is_copied_comes_from_the_head_that_copies():
    model, ids = copies_the_previous_character(), text_of(6)
    parts = dict(
        zip(
            part_names(model.heads, model.p),
            attribution(model.read(ids), model.heads, model.p, ids).T,
            strict=True,
        )
    )
    copies = parts.pop("1.1")
    assert all(np.allclose(part, 0, atol=1e-12) for part in parts.values()), "all others write nothing there"
    previous = ids[np.array([0, 0, 1, 2, 3])]  # the first has only itself to look at
    assert np.array_equal(copies > 0, previous == ids[1:])
