"""Every kernel of every backend against the reference, by walking the contract; then what the walk misses."""

import copy

import numpy as np
import pytest
from gpu import GPU_BACKENDS, MARKS, SIMULATED, Hosted, device, gpu_backend
from microgpt_kernels import load, reference
from microgpt_kernels.contract import KERNELS
from support import BY_NAME, CASES, CPU_BACKENDS, TOLERANCE, Guarded, arguments, judge, relative_error

SHARED = [(kernel, pair) for kernel in KERNELS for pair in kernel.may_share]
NO_ORDER = np.zeros(0, np.int64)


@pytest.fixture(params=("reference", *CPU_BACKENDS, *GPU_BACKENDS))
def k(request, monkeypatch):
    if request.param in MARKS:
        return Hosted(gpu_backend(request.param, monkeypatch))
    return load(request.param)


def is_slow(k):
    """Whether a GPU is simulated, at some hundred thousand steps of Python a second."""
    return isinstance(k, Hosted) and device().gpu.name.startswith("a simulated")


def backends_and_cases():
    """All pairs but one: 64 heads take a simulated GPU a minute, and other cases have narrow heads, too."""
    for backend in ("reference", *CPU_BACKENDS, *MARKS):
        for name, case in CASES.items():
            if backend != SIMULATED or len(case.widths) < 10:
                marks = getattr(pytest.mark, MARKS[backend]) if backend in MARKS else ()
                yield pytest.param(backend, case, marks=marks, id=f"{backend}-{name}")


on_every_case = pytest.mark.parametrize(("k", "case"), list(backends_and_cases()), indirect=["k"])


@on_every_case
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_kernel_agrees_with_the_reference(k, dtype, kernel, case):
    judge(kernel, k, case, dtype)


@on_every_case
@pytest.mark.parametrize(("kernel", "pair"), SHARED, ids=[kernel.name for kernel, _ in SHARED])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_arguments_that_may_share_memory_can(k, dtype, kernel, pair, case):
    judge(kernel, k, case, dtype, share=pair)


# --- attention with cached keys and values --------------------------------------------------------


@pytest.mark.parametrize("n_queries", [1, 2, 17, 40])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_attention_of_the_last_rows_is_the_last_rows_of_attention(k, dtype, n_queries):
    """As in generation: 41 rows of a longest 47 are known, the queries are the last of them."""
    Tk, T, widths = 41, 47, (1, 16, 7, 0)
    C, H = sum(widths), len(widths)
    offsets = np.cumsum((0, *widths)).astype(np.int32)
    scales = np.array([0.1, 0.6, 1, 0], dtype)
    qkv = np.random.default_rng(1).normal(size=(Tk, 3 * C)).astype(dtype)
    expected = np.zeros((Tk, C))
    weights, exact = np.zeros((1, H, T * T)), qkv.astype(np.float64)
    reference.attention_forward(expected, weights, None, exact, offsets, scales.astype(np.float64))

    out = Guarded(np.full((n_queries, C), np.nan, dtype))
    att = Guarded(np.full((1, H, T * T), np.nan, dtype))
    scratch = Guarded(np.full(2 * T * C, np.nan, dtype))
    k.attention_forward(out.array, att.array, scratch.array, qkv, offsets, scales)
    assert relative_error(out.array, expected[-n_queries:]) <= TOLERANCE[dtype]
    assert np.isnan(att.array).all()
    assert out.guards_hold()
    assert att.guards_hold()
    assert scratch.guards_hold()


# how wide rows are; a half of them ends within a vector, or at its end
@pytest.mark.parametrize("C", [1, 2, 3, 16, 31, 64, 97])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_shift_moves_half_of_each_row_on_within_its_sequence(k, dtype, C):
    B, T = 3, 4
    inp = np.random.default_rng(1).normal(size=(B * T, C)).astype(dtype)
    out, dinp = Guarded(np.full((B * T, C), np.nan, dtype)), Guarded(np.full((B * T, C), np.nan, dtype))
    k.shift_forward(out.array, inp, B)
    k.shift_backward(dinp.array, inp, B)
    for n in range(B * T):
        before = inp[n - 1] if n % T else np.zeros(C)
        after = inp[n + 1] if (n + 1) % T else np.zeros(C)
        for c in range(C):
            assert out.array[n, c] == (before[c] if c < C // 2 else inp[n, c])
            assert dinp.array[n, c] == (after[c] if c < C // 2 else inp[n, c])
    assert out.guards_hold()
    assert dinp.guards_hold()


@pytest.mark.parametrize("n", [1, 2, 6, 7])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_shift_of_the_last_rows_is_the_last_rows_of_the_shift(k, dtype, n):
    """As in generation."""
    inp = np.random.default_rng(1).normal(size=(7, 21)).astype(dtype)
    expected, out = np.zeros_like(inp), Guarded(np.full((n, 21), np.nan, dtype))
    k.shift_forward(expected, inp, 1)
    k.shift_forward(out.array, inp, 1)
    assert out.array.tobytes() == expected[-n:].tobytes()
    assert out.guards_hold()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_attention_is_causal(k, dtype):
    """What comes later changes nothing, not by a bit, even where it is as large as numbers get."""
    T, C = 33, 8
    offsets, scales = np.array([0, 1, 8], np.int32), np.array([1, 0.4], dtype)
    qkv = np.random.default_rng(1).normal(size=(T, 3 * C)).astype(dtype)
    outs = []
    for future in (0.0, 1e15):
        qkv[20:] = future
        out, att, scratch = (np.zeros(shape, dtype) for shape in ((T, C), (1, 2, T * T), 2 * T * C))
        k.attention_forward(out, att, scratch, qkv, offsets, scales)
        outs.append(out[:20].copy())
    assert np.array_equal(*outs)


# --- extreme numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_cross_entropy_of_huge_logits_is_exact(k, dtype):
    logits = np.array([[1e4, 0, -1e4], [-1e30, 0, 1e30]], dtype)
    losses, probs = np.full(2, np.nan, dtype), np.full((2, 3), np.nan, dtype)
    k.cross_entropy_forward(losses, probs, logits, np.array([1, 2], np.int32))
    assert np.array_equal(losses, np.array([1e4, 0], dtype))
    assert np.array_equal(probs, [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_an_interpolation_of_huge_logits_is_a_distribution(k, dtype):
    logits = np.array([[1e4, 0, -1e4], [-1e30, 0, 1e30], [5, 5, -np.inf]], dtype)
    expected = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0.5, 0, 0.5]], dtype)
    k.interpolate(logits, expected, 0.5)
    together = [[0.75, 0.125, 0.125], [0.5, 0, 0.5], [0.5, 0.25, 0.25]]
    assert np.exp(logits) == pytest.approx(np.array(together), rel=TOLERANCE[dtype])


@pytest.mark.parametrize(
    "kernel",
    [
        "relu_forward", "relu_backward", "relu_squared_forward", "relu_squared_backward",
        "layernorm_forward", "linear_forward",
    ],
)  # fmt: skip
def test_not_a_number_is_passed_on(k, kernel):
    """Nothing hides it, so that a run that has gone wrong stops."""
    arrays = [np.ones((2, 2), np.float32) for _ in BY_NAME[kernel].arguments]
    for array, argument in zip(arrays, BY_NAME[kernel].arguments, strict=True):
        if argument.mode == "read" and argument.name != "out":
            array[...] = np.nan
    shapes = [len(argument.shape.split()) for argument in BY_NAME[kernel].arguments]
    getattr(k, kernel)(*(a if n == 2 else a[0] for a, n in zip(arrays, shapes, strict=True)))
    assert np.isnan(arrays[0]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_that_is_not_finite_stops_the_run(k, bad):
    one, rates = np.ones(1, np.float32), np.full(3, 0.1, np.float32)
    for losses, norm in (([bad], [1]), ([1], [bad])):
        log, clock = np.zeros((3, 2), np.float32), np.array([4, 0], np.int64)
        losses, norm = np.array(losses, np.float32), np.array(norm, np.float32)
        k.step_record(log, clock, losses, np.ones(1, np.int64), norm)
        assert list(clock) == [4, 1]
        # the step that went wrong is on record, and nothing happens after it
        assert np.array_equal(log[1], [losses[0], norm[0]], equal_nan=True)
        param, m, v = one.copy(), one.copy(), one.copy()
        k.adam_step(param, m, v, one, one, rates, one, clock, 0.9, 0.999, 1e-8, 1.0)
        k.clock_advance(clock)
        k.step_record(log, clock, np.ones(1, np.float32), np.ones(1, np.int64), one)
        assert (param[0], m[0], v[0], clock[0]) == (1, 1, 1, 4)
        assert np.array_equal(log[1], [losses[0], norm[0]], equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_no_decay_is_a_decay_of_zero(k, dtype):
    values = arguments(BY_NAME["adam_step"], CASES["seven"], dtype)
    results = []
    for decay in (np.zeros_like(values["decay"]), np.zeros(0, dtype)):
        given = copy.deepcopy(values | {"decay": decay})
        k.adam_step(*given.values())
        results.append(given["param"])
    assert relative_error(*results) <= TOLERANCE[dtype]


# --- the batch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize(("length", "stride"), [(2, 4), (20, 4), (21, 3), (22, 1)])
def test_an_epoch_of_batches_has_every_character_as_a_target_once(k, kind, length, stride):
    B, T = 3, 4
    ids = np.arange(length).astype(kind)
    inputs, targets = np.zeros((B, T), np.int32), np.zeros((B, T), np.int32)
    n_targets, seen = np.zeros(1, np.int64), []
    n_chunks = 1 + max(0, -(-(length - 1 - T) // stride))
    for order in (NO_ORDER, np.random.default_rng(0).permutation(n_chunks)):
        seen = []
        for step in range(-(-n_chunks // B)):
            k.batch_fill(inputs, targets, n_targets, ids, order, np.array([step, 0], np.int64), stride)
            assert n_targets[0] == (targets >= 0).sum()
            # the character before each target is its input
            assert np.array_equal(inputs[targets >= 0], targets[targets >= 0] - 1)
            seen.extend(targets[targets >= 0])
        assert sorted(seen) == list(range(1, length))


# --- drawing characters ---------------------------------------------------------------------------

LOGITS = np.array([1.0, 3.0, -2.0, 3.0, 0.5, 2.0, -np.inf])


def n_draws(k):
    return 100 if is_slow(k) else 4000


def drawn(k, dtype, temperature, top_k=0, top_p=1.0, logits=LOGITS):
    """How often each character comes, when the random numbers are evenly spaced over [0, 1)."""
    n = n_draws(k)
    uniform = ((np.arange(n) + 0.5) / n).astype(dtype)
    window, output, clock = np.zeros(9, np.int32), np.zeros(n, np.int32), np.array([1, 0, 0], np.int64)
    rows = np.stack([np.zeros(len(logits)), logits]).astype(dtype)  # only the last row counts
    scratch = np.full(2 * len(logits), np.nan, dtype)
    for _ in range(n):
        k.sample(window, output, clock, scratch, rows, uniform, temperature, top_k, top_p)
    return np.bincount(output, minlength=len(logits)) / n


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"top_k": 3}, [1, 3, 5]),
        ({"top_k": 1}, [1]),  # two are equally likely: the lower id
        ({"top_k": 99}, [0, 1, 2, 3, 4, 5]),
        ({"top_p": 0.8}, [1, 3, 5]),  # shares at temperature 1: .38 .38 .14 .05 .03 .003
        ({"top_p": 0.76}, [1, 3]),
        ({"top_p": 0.0}, [1]),
        ({"top_k": 2, "top_p": 0.99}, [1, 3]),
        ({"top_k": 5, "top_p": 0.5}, [1, 3]),
    ],
    ids=str,
)
def test_characters_come_as_often_as_they_are_likely(k, dtype, options, kept):
    expected = np.zeros(len(LOGITS))
    expected[kept] = np.exp(LOGITS[kept])
    expected /= expected.sum()
    assert np.abs(drawn(k, dtype, 1.0, **options) - expected).max() <= 1.5 / n_draws(k)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_temperature_flattens_and_zero_takes_the_likeliest(k, dtype):
    expected = np.exp(LOGITS / 3) / np.exp(LOGITS / 3).sum()
    assert np.abs(drawn(k, dtype, 3.0) - expected).max() <= 1.5 / n_draws(k)
    assert drawn(k, dtype, 0.0)[1] == 1
    # so cold that every other character underflows
    assert drawn(k, dtype, 1e-30, logits=np.array([1.0, 3.0, 2.0]))[1] == 1


def test_a_full_window_is_halved(k):
    """Its newer half moves to the front; clock[1] = 0 asks for its rows to be computed anew."""
    window, output, clock = np.zeros(5, np.int32), np.full(9, -1, np.int32), np.array([1, 0, 0], np.int64)
    uniform, scratch = np.zeros(9, np.float32), np.zeros(18, np.float32)
    history = []
    for step in range(9):
        logits = np.eye(9, dtype=np.float32)[step : step + 1] * 9
        k.sample(window, output, clock, scratch, logits, uniform, 0.0, 0, 1.0)
        history.append((*window[: clock[0]], *clock[1:]))
    assert history == [
        (0, 0, 1, 1),
        (0, 0, 1, 2, 2),
        (0, 0, 1, 2, 3, 3),
        (0, 0, 1, 2, 3, 4, 4),
        (2, 3, 4, 0, 5),
        (2, 3, 4, 5, 3, 6),
        (2, 3, 4, 5, 6, 4, 7),
        (5, 6, 7, 0, 8),
        (5, 6, 7, 8, 3, 9),
    ]
    assert list(output) == list(range(9))
