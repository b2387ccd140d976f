"""The models that a choice is made from: what they cost, and how they fit what is given."""

import math
from itertools import pairwise

import numpy as np
import pytest
from microgpt_kernels import load
from reporters import Silent

from microgpt.machine.budget import Budget
from microgpt.model.parameters import table
from microgpt.model.placed import place
from microgpt.text.reading import Text
from microgpt.text.vocabulary import Vocabulary
from microgpt.text.walk import minimum_characters
from microgpt.training.counting import Counting, cost
from microgpt.training.ladder import RUNGS, NoSizeError, fits, ladder, memory
from microgpt.training.run import Run


def ladder_of(n_train=900_000, n_val=100_000, vocabulary_size=65, **given):
    return ladder(frozenset({"file": "x", **given}.items()), n_train, n_val, vocabulary_size)


def test_models_grow_by_a_few_percent_at_a_time():
    sizes = ladder_of()
    assert len(sizes) > 300
    for before, after in pairwise(sizes):
        assert before.weights < after.weights
        growth = after.step / after.characters * before.characters / before.step
        assert 1 < growth < (1.085 if before.config.d_model >= 48 else 1.2)
    assert [size.config.d_model for size in sizes] == sorted(size.config.d_model for size in sizes)


def test_weights_are_those_of_the_layers():
    size = ladder_of()[100]
    matrices = [t for t in table(size.architecture.sizes) if t.is_matrix and t.name != "unembed_w"]
    assert size.weights == sum(t.high - t.low for t in matrices)


@pytest.mark.parametrize(
    "given",
    [
        {"d_model": 96}, {"n_layers": 3}, {"d_ff": 64}, {"seq_len": 40}, {"batch_size": 3},
        {"heads": "pyramid"}, {"heads": "6x16"},
        {"d_model": 30, "heads": "10+20"}, {"dtype": "float64", "lr": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_given_is_kept(given):
    sizes = ladder_of(**given)
    assert sizes
    for size in sizes:
        assert {name: getattr(size.config, name) for name in given} == given


def test_with_all_sizes_given_there_is_one_model():
    (size,) = ladder_of(d_model=64, n_layers=2, d_ff=100, seq_len=32, batch_size=1)
    assert size.architecture.d_ff == 100


def test_no_model_is_an_error_that_says_why():
    with pytest.raises(NoSizeError, match="the widths 7\\+6 sum to 13, but d_model is 16"):
        ladder_of(heads="7+6")
    with pytest.raises(NoSizeError, match="there is no head layout 'nonsense'"):
        ladder_of(heads="nonsense")


@pytest.mark.parametrize("n_train", [1, 2, 3, 4, 10, 33, 97, 200, 400, 2000])
def test_short_texts_get_shorter_sequences_and_smaller_batches(n_train):
    for size in ladder_of(n_train, 0):
        T, B = size.config.seq_len, size.config.batch_size
        assert n_train >= minimum_characters(T, T, B) or T == B == n_train == 1
    assert ladder_of(n_train, 0, seq_len=50)[0].config.seq_len == 50  # the run says that it is too long


def text_of(n_characters, vocabulary_size):
    ids = np.random.default_rng(0).integers(0, vocabulary_size, n_characters)
    vocabulary = Vocabulary("".join(map(chr, range(40, 40 + vocabulary_size))))
    return Text(ids.astype(np.min_scalar_type(vocabulary_size - 1)), vocabulary, "", "")


@pytest.mark.parametrize("cap", ["1MB", "5MB", "30MB"])
@pytest.mark.parametrize("vocabulary_size", [2, 65, 3000])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"val_fraction": 0.1},
        {"order": "shuffled", "weight_decay": 0.1},
        {"val_fraction": 0.1, "ngrams": 3},
    ],
    ids=str,
)
def test_every_model_fits_the_memory_cap(cap, vocabulary_size, given):
    n = 30_000
    n_val = round(n * given.get("val_fraction", 0))
    ngram_bytes = cost(given.get("ngrams", 0), n - n_val, n_val, vocabulary_size, Counting(1e7)).n_bytes
    options = frozenset({"file": "x", "memory_cap": cap, **given}.items())
    sizes = ladder(options, n - n_val, n_val, vocabulary_size, ngram_bytes)
    largest, cap_bytes = sizes[-1], sizes[-1].config.memory_cap_bytes
    needed = memory(largest, n - n_val, n_val, ngram_bytes)
    assert fits(largest, n - n_val, n_val, ngram_bytes) == (needed <= cap_bytes)
    if vocabulary_size == 3000 and cap in (
        "1MB",
        "5MB" if "ngrams" in given else "",
    ):  # not even the smallest fits: the run says so
        assert (len(sizes), largest.config.d_model) == (1, RUNGS[0].d_model)
        assert needed > cap_bytes
        return
    assert needed <= cap_bytes
    text, budget = text_of(n, vocabulary_size), Budget(cap_bytes)
    budget.book(text.ids.nbytes, "the text", "")
    k = load("crystal")
    run = Run(place(k, largest.architecture, budget), largest.config, text, Silent())
    # all n-grams could be different, and are not
    slack = 1.02 if not given.get("ngrams") else math.inf
    assert run.placed.budget.held <= needed <= slack * run.placed.budget.held
