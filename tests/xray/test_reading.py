"""What is kept of the two passes over a text: beside PyTorch, on every backend, and window by window."""

import numpy as np
import pytest
from gpu import GPU_BACKENDS, gpu_backend
from heads_by_hand import KINDS, random_model, text_of
from microgpt_kernels import load
from support import CPU_BACKENDS, TOLERANCE, relative_error

from microgpt.errors import MicrogptError
from microgpt.xray.reading import Reader

T = 7


@pytest.mark.parametrize("kind", KINDS)
def test_pytorch_reads_the_same(kind):
    """The heads' outputs and attention, the losses, and the gradients by each column of the outputs."""
    torch = pytest.importorskip(
        "torch", reason="PyTorch is not installed: pip install 'microgpt-numba[oracle]'"
    )
    import oracle

    model, ids = random_model(**KINDS[kind]), text_of(2 * T + 1)
    reading = model.read(ids)
    judge = oracle.Oracle(model.architecture)
    judge.load(model.p)
    inputs, targets = (torch.tensor(part.astype(np.int64).reshape(2, T)) for part in (ids[:-1], ids[1:]))
    outputs = []
    for block in judge.blocks:
        block.proj.register_forward_pre_hook(lambda _, inp: inp[0].retain_grad() or outputs.append(inp[0]))
    logits = judge(inputs)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    losses.reshape(2, T).mean(dim=1).sum().backward()
    assert relative_error(reading.losses, losses.detach()) < 1e-12
    for l, output in enumerate(outputs):
        values = output.detach().numpy()
        assert relative_error(reading.heads[l], values.reshape(2 * T, 6)) < 1e-12
        assert relative_error(reading.gradients[:, l], (values * output.grad.numpy()).sum(axis=1)) < 1e-11


@pytest.mark.parametrize("kind", KINDS)
def test_the_outputs_of_a_head_are_its_weights_times_its_values(kind):
    model = random_model(**KINDS[kind])
    reading = model.read(text_of(3 * T))
    for head in model.heads:
        values = reading.qkv[head.layer, :, :, 2 * 6 :][..., head.columns]
        found = (reading.attention(head, slice(0, 3)) @ values).reshape(3 * T, -1)[: 3 * T - 1]
        assert relative_error(reading.heads[head.layer][:, head.columns], found) < 1e-12


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_every_backend_reads_the_same(backend):
    options = {**KINDS["rope-shifted"], "dtype": "float32"}
    expected = random_model(**options | {"dtype": "float64"}).read(text_of(30))
    found = random_model(load(backend), **options).read(text_of(30))
    check(found, expected)


@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_a_gpu_reads_the_same(backend, monkeypatch):
    options = {**KINDS["learned"], "dtype": "float32", "seq_len": 3}
    expected = random_model(**options | {"dtype": "float64"}).read(text_of(5))
    found = random_model(gpu_backend(backend, monkeypatch), **options).read(text_of(5))
    check(found, expected)


def check(found, expected):
    for name in ("losses", "rstd", "heads", "hidden", "gradients"):
        assert relative_error(getattr(found, name), getattr(expected, name)) < 5 * TOLERANCE["float32"], name
    assert np.array_equal(found.ids, expected.ids)


@pytest.mark.parametrize("n", [1, 3, T, T + 1, 3 * T + 2])
def test_each_window_is_read_alone_and_the_last_may_be_short(n):
    model, ids = random_model(), text_of(n + 1)
    whole = model.read(ids)
    assert whole.losses.shape == (n,)
    assert whole.heads.shape == (2, n, 6)
    assert len(whole.ids) == -(-n // T)
    for w, begin in enumerate(range(0, n, T)):
        alone = model.read(ids[begin : begin + T + 1])
        assert np.array_equal(alone.losses, whole.losses[begin : begin + T])
        assert np.array_equal(alone.gradients[0], whole.gradients[w])
        assert np.array_equal(alone.ids[0], whole.ids[w])


def test_a_model_that_has_overflowed_cannot_be_looked_into():
    model = random_model()
    model.placed.param[:] = np.nan
    with pytest.raises(MicrogptError, match="its losses on this text are not finite"):
        model.read(text_of(9))


def test_a_text_needs_a_character_to_predict():
    with pytest.raises(MicrogptError, match="at least 2 characters"):
        Reader(random_model().placed, np.zeros(1, np.uint8))
