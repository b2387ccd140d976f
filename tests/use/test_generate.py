"""Generation against a model without a memory: a full forward pass over the window for every character."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from microgpt_kernels import load, reference
from support import placed

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.model import transformer as model
from microgpt.model.activations import activations
from microgpt.model.parameters import count, table
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.text.vocabulary import Vocabulary
from microgpt.use.generate import DRAWS, Generator, Sampling, encode_prompt, until

V = 23
BACKENDS = ("reference", "crystal", "openblas")
LAYOUTS = {"uniform": "uniform", "prime": "prime", "ones": "ones", "a layer each": "16+8+24 | 48"}


def config_of(T, positions="learned", heads="uniform", dtype="float32", **others):
    options = {"seq_len": T, "positions": positions, "heads": heads, "dtype": dtype, **others}
    return TrainConfig(file="", d_model=48, d_ff=40, **RECIPES["plain"] | options).architecture(V)


def parameters(config):
    """Values large enough for every character to matter."""
    tensors = table(config.sizes)
    values = np.random.default_rng(1).normal(0, 0.2, count(tensors))
    for tensor in tensors:
        values[tensor.low : tensor.high] += tensor.name in ("ln1_w", "ln2_w", "lnf_w")
    return values


def generator_of(backend, config):
    return Generator(placed(load(backend), config, Budget(None), parameters(config).astype(config.dtype)))


def text_of(generator, prompt, length, sampling=Sampling(), chunk=None):  # noqa: B008  (it is frozen)
    return np.concatenate([np.zeros(0, int), *generator.stream(np.array(prompt), length, sampling, chunk)])


def without_memory(config, prompt, length, sampling):
    """Yields each character and the logits that it was drawn by, in float64, from the whole window anew."""
    exact = placed(reference, config, Budget(None), parameters(config))
    a = activations(exact, n_sequences=1)
    forward, _ = model.build(reference)
    uniform = np.random.default_rng(sampling.seed).random(length, np.float32)
    T = config.seq_len
    window = list(prompt[-T:])
    for i in range(length):
        rows = slice(0, len(window))
        forward(exact.p, a, exact.c, np.array(window), 0, rows, rows, slice(0, 1))
        logits = a.logits[len(window) - 1].copy()
        drawn = draw(logits, uniform[i : i + 1], sampling)
        yield drawn, logits
        if len(window) == T:
            window = window[T - T // 2 :]
        window.append(drawn)


def draw(logits, uniform, sampling):
    output = np.zeros(1, int)
    reference.sample(
        np.zeros(2, int), output, np.array([1, 1, 0]), None, logits[None], uniform,
        sampling.temperature, sampling.top_k, sampling.top_p,
    )  # fmt: skip
    return int(output[0])


CONFIGS = [
    *((T, "learned", "prime", {}) for T in (1, 2, 7, 8)),
    *((7, positions, heads, {}) for positions in ("rope", "none") for heads in LAYOUTS.values()),
    *((8, "learned", heads, {}) for heads in LAYOUTS.values()),
    (33, "rope", "prime", {}),
    *((T, "rope", "prime", {"token_shift": True}) for T in (1, 2, 7, 8, 33)),
    (7, "none", "16+8+24 | 48", {"token_shift": True}),
    (8, "rope", "prime", {"attention_scale": "linear"}),
    (7, "none", "16+8+24 | 48", {"attention_scale": "linear"}),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("T", "positions", "heads", "others"), CONFIGS)
def test_with_a_memory_the_text_and_the_logits_are_those_without(backend, T, positions, heads, others):
    config = config_of(T, positions, heads, **others)
    generator = generator_of(backend, config)
    sampling = Sampling(temperature=0.9, seed=5)
    for prompt_length in sorted({1, max(1, T - 1), T, T + 1, 3 * T}):
        prompt = np.random.default_rng(2).integers(0, V, prompt_length)
        length = 3 * T + 2
        in_window = min(prompt_length, T)
        pieces = generator.stream(prompt, length, sampling, chunk=1)
        for piece, (drawn, logits) in zip(
            pieces, without_memory(config, prompt, length, sampling), strict=True
        ):
            error = np.abs(generator.a.logits[in_window - 1] - logits).max() / np.abs(logits).max()
            assert error < 1e-5
            assert piece.tolist() == [drawn]
            in_window = T // 2 + 1 if in_window == T else in_window + 1


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(seed=1),
        Sampling(seed=1, top_k=5),
        Sampling(seed=1, top_p=0.6),
        Sampling(temperature=1.5, seed=2, top_k=9, top_p=0.8),
        Sampling(temperature=0),
        Sampling(seed=1, top_k=10 * V),
    ],
    ids=str,
)
def test_backends_draw_the_same_text(sampling):
    config = config_of(8)
    texts = [text_of(generator_of(backend, config), [3], 60, sampling).tolist() for backend in BACKENDS]
    assert texts == [texts[0]] * len(BACKENDS)
    assert len(set(texts[0])) > 1


@pytest.mark.parametrize("backend", ["reference", "crystal"])
def test_the_pieces_do_not_change_the_text(backend):
    generator = generator_of(backend, config_of(8))
    length = DRAWS + 77
    texts = [text_of(generator, [1, 2], length, Sampling(seed=7), chunk) for chunk in (None, 64, 999, 5000)]
    assert all(np.array_equal(text, texts[0]) for text in texts)
    assert len(texts[0]) == length
    assert text_of(generator, [1, 2], 50, Sampling(seed=7)).tolist() == texts[0][:50].tolist()
    assert text_of(generator, [1, 2], 50, Sampling(seed=8)).tolist() != texts[0][:50].tolist()


def test_a_sample_is_what_a_run_with_its_seed_draws():
    generator = generator_of("crystal", config_of(8))
    sampling = Sampling(temperature=0.9, seed=41)
    samples = [np.concatenate(list(sample)) for sample in generator.samples(np.array([3]), 40, sampling, 3)]
    for i, sample in enumerate(samples):
        alone = text_of(generator, [3], 40, Sampling(temperature=0.9, seed=41 + i))
        assert sample.tolist() == alone.tolist()
    assert len({tuple(sample) for sample in samples}) == 3
    # a sample that is left early changes nothing in the next one
    first, second = generator.samples(np.array([3]), 40, sampling, 2)
    generator_left = next(first)
    assert generator_left.tolist() == samples[0][: len(generator_left)].tolist()
    assert np.concatenate(list(second)).tolist() == samples[1].tolist()
    with pytest.raises(MicrogptError, match="--length must be at least 0"):
        next(generator.samples(np.array([3]), -1, sampling, 3))


@settings(deadline=None)
@given(st.lists(st.text("ab", max_size=5)), st.text("ab", min_size=1, max_size=4))
def test_a_text_ends_before_the_stop_however_it_is_cut(pieces, stop):
    whole = "".join(pieces)
    written = list(until(iter(pieces), stop))
    assert "".join(written) == whole.split(stop)[0]
    assert all(written)


@settings(deadline=None)
@given(st.lists(st.text("ab", max_size=5)), st.text("abc", min_size=1, max_size=4))
def test_only_what_can_become_the_stop_is_held_back(pieces, stop):
    whole = "".join(pieces)
    if stop in whole:
        return

    def pieces_and_no_end():
        yield from pieces
        raise InterruptedError

    written = []
    with pytest.raises(InterruptedError):
        written.extend(until(pieces_and_no_end(), stop))
    held = max(n for n in range(len(stop)) if whole.endswith(stop[:n]))
    assert "".join(written) == whole[: len(whole) - held]


def test_no_more_is_drawn_once_the_stop_is_there():
    drawn = []

    def pieces():
        for piece in ("one. ", "tw", "o", ". three", ". four"):
            drawn.append(piece)
            yield piece

    assert list(until(pieces(), ". t")) == ["one"]
    assert drawn == ["one. ", "tw"]
    with pytest.raises(ValueError, match="empty"):
        until(pieces(), "")


def test_pieces_start_with_one_character_and_grow():
    sizes = [len(piece) for piece in generator_of("crystal", config_of(8)).stream([1], 3000, Sampling())]
    assert sizes[0] == 1
    assert sum(sizes) == 3000
    assert all(after <= 2 * before for before, after in itertools.pairwise(sizes))
    assert [len(piece) for piece in generator_of("crystal", config_of(8)).stream([1], 10, Sampling(), 4)] == [
        4,
        4,
        2,
    ]


def test_only_the_last_window_of_a_prompt_counts():
    generator = generator_of("reference", config_of(8))
    prompt = np.random.default_rng(3).integers(0, V, 50)
    assert text_of(generator, prompt, 20).tolist() == text_of(generator, prompt[-8:], 20).tolist()
    assert text_of(generator, [], 20).tolist() == text_of(generator, [0], 20).tolist()


def test_a_stream_that_was_left_leaves_nothing_to_the_next_one():
    generator = generator_of("reference", config_of(8))
    expected = text_of(generator, [4], 30)
    next(generator.stream([9] * 8, 30, Sampling(seed=3)))
    assert text_of(generator, [4], 30).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1, top_k=1),
        Sampling(temperature=1, top_p=1e-9),
        Sampling(temperature=1e-300),
        Sampling(temperature=1e-5),
    ],
    ids=str,
)
def test_the_likeliest_character_is_drawn(sampling):
    for backend in ("reference", "crystal"):
        generator = generator_of(backend, config_of(8))
        greedy = text_of(generator, [3], 40, Sampling(temperature=0))
        assert text_of(generator, [3], 40, sampling).tolist() == greedy.tolist()


def test_float32_and_float64_draw_by_the_same_numbers():
    single, double = (
        generator_of("reference", config_of(8, dtype=dtype)) for dtype in ("float32", "float64")
    )
    assert text_of(single, [3], 40).tolist() == text_of(double, [3], 40).tolist()


def test_what_cannot_be_generated_is_refused_at_once():
    generator = generator_of("reference", config_of(8))
    assert list(generator.stream([1], 0, Sampling())) == []
    with pytest.raises(MicrogptError, match="--length must be at least 0, not -1"):
        generator.stream([1], -1, Sampling())
    for prompt in ([V], [-1], [0, 2**40]):
        with pytest.raises(ValueError, match="between 0 and 22"):
            generator.stream(np.array(prompt), 1, Sampling())
    with pytest.raises(ValueError, match="at least 1 character"):
        generator.stream([1], 1, Sampling(), chunk=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "--temperature must be at least 0 and finite, not -0.1"),
        ({"temperature": float("nan")}, "--temperature must be at least 0 and finite, not nan"),
        ({"temperature": float("inf")}, "--temperature must be at least 0 and finite, not inf"),
        ({"top_k": -1}, "--top-k must be at least 1, or 0 for all, not -1"),
        ({"top_p": 0.0}, "--top-p must be above 0 and at most 1, not 0.0"),
        ({"top_p": 1.1}, "--top-p must be above 0 and at most 1, not 1.1"),
        ({"top_p": float("nan")}, "--top-p must be above 0 and at most 1, not nan"),
        ({"seed": -1}, "--seed must be at least 0, not -1"),
    ],
)
def test_sampling_checks_itself(options, message):
    with pytest.raises(MicrogptError) as error:
        Sampling(**options)
    assert str(error.value) == message


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.booleans())
def test_a_prompt_becomes_ids_and_an_empty_one_starts_a_line(text, with_line_breaks):
    vocabulary = Vocabulary("".join(sorted(set(text + "\n" * with_line_breaks))))
    assert vocabulary.decode(encode_prompt(vocabulary, text)) == text
    start = vocabulary.decode(encode_prompt(vocabulary, ""))
    assert start == ("\n" if "\n" in vocabulary.characters else min(vocabulary.characters))
    with pytest.raises(MicrogptError, match="does not know"):
        encode_prompt(Vocabulary("ab"), "ac")


def test_the_arrays_are_booked():
    config = config_of(8)
    weights = 4 * count(table(config.sizes))
    model = place(load("reference"), config, Budget(weights + 20_000))
    with pytest.raises(MicrogptError, match="out of memory budget"):
        Generator(model)
    model = place(load("reference"), config, Budget(None))
    before = model.budget.held
    generator = Generator(model)
    arrays = [*generator.a, generator._window, generator._output, generator._uniform]
    assert model.budget.held - before == sum(array.nbytes for array in arrays)
