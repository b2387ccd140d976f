"""The walk through a text: what `batch_fill` puts into the batches, and what `Walk` says of them."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from microgpt_kernels import load

from microgpt.errors import MicrogptError
from microgpt.text.walk import Walk, check_long_enough, minimum_characters, shuffle_order, split

# openblas has the kernel of crystal
FILLS = {name: load(name).batch_fill for name in ("reference", "crystal")}
SEQUENTIAL = np.empty(0, np.int64)


@st.composite
def walks(draw):
    T = draw(st.integers(1, 40))
    return Walk(
        n_tokens=draw(st.integers(2, 400)),
        seq_len=T,
        stride=draw(st.integers(1, T)),
        batch_size=draw(st.integers(1, 9)),
    )


def order_of(walk, shuffled, seed=0):
    order = np.empty(walk.n_chunks if shuffled else 0, np.int64)
    shuffle_order(order, seed, 0)
    return order


def batches(walk, ids, order, fill, epoch=0):
    """(inputs, targets) of each step of an epoch; what the kernel leaves unwritten would show as 99."""
    for place in range(walk.steps_per_epoch):
        inputs, targets = np.full((2, walk.batch_size, walk.seq_len), 99, np.int32)
        n_targets = np.full(1, 99)
        clock = np.array([epoch * walk.steps_per_epoch + place, 0])
        fill(inputs, targets, n_targets, ids, order, clock, walk.stride)
        assert n_targets[0] == np.count_nonzero(targets != -1)
        yield inputs, targets


@pytest.mark.parametrize("backend", FILLS)
@settings(deadline=None, max_examples=150)
@given(walk=walks(), shuffled=st.booleans(), seed=st.integers(0, 2**32), epoch=st.integers(0, 3))
def test_every_token_but_the_first_is_a_target_exactly_once(backend, walk, shuffled, seed, epoch):
    n, T, stride, B = walk.n_tokens, walk.seq_len, walk.stride, walk.batch_size
    order = order_of(walk, shuffled, seed)
    ids = np.arange(n, dtype=np.uint16)  # each token is its own index, so a batch shows where it came from
    times_a_target = np.zeros(n, int)
    chunks_of_row = [[] for _ in range(B)]
    for step, (inputs, targets) in enumerate(batches(walk, ids, order, FILLS[backend], epoch)):
        for b in range(B):
            place = b * walk.n_chunks // B + step
            if place >= (b + 1) * walk.n_chunks // B:
                assert not inputs[b].any()
                assert (targets[b] == -1).all()
                continue
            chunk = int(order[place]) if shuffled else place
            chunks_of_row[b].append(chunk)
            start = chunk * stride
            # the last token of the text predicts nothing, so it is no input
            here = np.arange(start, min(start + T, n - 1))
            assert inputs[b].tolist() == here.tolist() + [0] * (T - len(here))
            is_target = targets[b] != -1
            assert is_target.any()  # no chunk is there for nothing
            assert (targets[b][is_target] == inputs[b][is_target] + 1).all()
            # as much context as the definition says, and no more
            first_target = 0 if chunk == 0 else T - stride
            assert np.flatnonzero(is_target).tolist() == list(range(first_target, len(here)))
            times_a_target[targets[b][is_target]] += 1
    assert times_a_target.tolist() == [0] + [1] * (n - 1)
    assert walk.n_targets == n - 1
    assert sorted(itertools.chain(*chunks_of_row)) == list(range(walk.n_chunks))
    assert walk.steps_per_epoch == max(map(len, chunks_of_row))
    if not shuffled:  # a row reads on where it stopped
        assert all(row == list(range(row[0], row[0] + len(row))) for row in chunks_of_row if row)


@pytest.mark.parametrize("backend", FILLS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_texts_of_any_width(backend, dtype):
    walk = Walk(n_tokens=10, seq_len=4, stride=4, batch_size=2)
    # 3 chunks, shuffled to 2 0 1: the first row has one of them, the second two
    seen = batches(walk, np.arange(10, dtype=dtype), np.array([2, 0, 1]), FILLS[backend])
    assert [(inputs.tolist(), targets.tolist()) for inputs, targets in seen] == [
        ([[8, 0, 0, 0], [0, 1, 2, 3]], [[9, -1, -1, -1], [1, 2, 3, 4]]),
        ([[0, 0, 0, 0], [4, 5, 6, 7]], [[-1, -1, -1, -1], [5, 6, 7, 8]]),
    ]


@pytest.mark.parametrize("backend", FILLS)
def test_overlapping_chunks_predict_only_what_is_new(backend):
    walk = Walk(n_tokens=8, seq_len=4, stride=2, batch_size=1)
    seen = batches(walk, np.arange(8, dtype=np.uint8), SEQUENTIAL, FILLS[backend])
    assert [(inputs[0].tolist(), targets[0].tolist()) for inputs, targets in seen] == [
        ([0, 1, 2, 3], [1, 2, 3, 4]),
        ([2, 3, 4, 5], [-1, -1, 5, 6]),
        ([4, 5, 6, 0], [-1, -1, 7, -1]),
    ]


def test_the_usual_size():
    walk = Walk(n_tokens=1_115_394, seq_len=32, stride=32, batch_size=1)
    assert walk.n_chunks == walk.steps_per_epoch == 34_857
    assert Walk(1_115_394, 32, 32, 12).steps_per_epoch == 2905


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((100, 8, 9, 1), "--stride must be between 1 and the sequence length 8, not 9"),
        ((100, 8, 0, 1), "--stride must be"),
        ((100, 0, 1, 1), "must be at least 1, not 0 and 1"),
        ((100, 8, 8, 0), "must be at least 1, not 8 and 0"),
        ((1, 8, 8, 1), "at least 2 characters to predict one, not 1"),
    ],
)
def test_walks_that_cannot_be(sizes, message):
    with pytest.raises(MicrogptError, match=re.escape(message)):
        Walk(*sizes)


# --- order


def test_an_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch, dtype=np.int64):
        array = np.full(1000, -1, dtype)
        shuffle_order(array, seed, epoch)
        return array.tolist()

    np.random.seed(5)
    first = order(1, 0)
    assert sorted(first) == list(range(1000))
    order(7, 7)
    assert order(1, 0) == first
    assert order(1, 0, np.int32) == first
    others = [order(1, 1), order(0, 1), order(2, 0), order(1 + 2**32, 0)]
    assert all(other != first for other in others)
    assert len({tuple(other) for other in others}) == len(others)


def test_the_order_of_one_seed_stays_as_it_is():
    # a run begun with one version of the program must resume with the next
    order = np.empty(10, np.int64)
    shuffle_order(order, 1337, 3)
    assert order.tolist() == [1, 6, 5, 0, 8, 7, 2, 4, 3, 9]


@pytest.mark.parametrize("n", [0, 1])
def test_orders_with_nothing_to_shuffle(n):
    order = np.empty(n, np.int64)
    shuffle_order(order, 1, 1)
    assert order.tolist() == list(range(n))


# --- sizes


@settings(deadline=None)
@given(walks())
def test_the_minimum_is_the_smallest_text_that_works(walk):
    T, stride, B = walk.seq_len, walk.stride, walk.batch_size

    def works(n):
        return n > T and Walk(n, T, stride, B).n_chunks >= B

    minimum = minimum_characters(T, stride, B)
    assert works(minimum)
    assert minimum == 2 or not works(minimum - 1)


@settings(deadline=None)
@given(walk=walks(), n=st.integers(0, 400))
def test_a_text_too_short_is_told_what_would_work(walk, n):
    T, stride, B = walk.seq_len, walk.stride, walk.batch_size
    minimum = minimum_characters(T, stride, B)
    if n >= minimum:
        assert check_long_enough(n, T, stride, B, "the text") is None
        return
    with pytest.raises(MicrogptError) as caught:
        check_long_enough(n, T, stride, B, "the text")
    problem, _, advice = str(caught.value).partition("; ")
    assert problem.startswith(f"the text has {n} character")
    assert problem.endswith(f"needs at least {minimum}")

    def largest(values, works):
        return max(filter(works, values), default=None)

    best_T = largest(range(1, T), lambda t: minimum_characters(t, min(stride, t), B) <= n)
    best_B = largest(range(1, B), lambda rows: minimum_characters(T, stride, rows) <= n)
    best_T_alone = largest(range(1, T), lambda t: minimum_characters(t, min(stride, t), 1) <= n)
    ways = advice.removesuffix(" would work").split(" or ") if advice else []
    options = [{name: int(value) for name, value in re.findall(r"--([a-z-]+) (\d+)", way)} for way in ways]
    offered = [(way.get("seq-len"), way.get("batch-size")) for way in options]
    if best_T or best_B:
        assert offered == [(best_T, None)] * bool(best_T) + [(None, best_B)] * bool(best_B)
    else:
        assert offered == [(best_T_alone, 1)] * bool(best_T_alone)
    for way in options:
        new_T = way.get("seq-len", T)
        # an unnamed stride is the user's, or the sequence length where the user gave none
        new_stride = way.get("stride", new_T if stride == T else stride)
        check_long_enough(n, new_T, new_stride, way.get("batch-size", B), "the text")
        Walk(n, new_T, new_stride, way.get("batch-size", B))


def test_the_sentence_of_a_text_too_short():
    with pytest.raises(MicrogptError) as caught:
        check_long_enough(100, 128, 128, 2, "the text poem.txt")
    assert str(caught.value) == (
        "the text poem.txt has 100 characters, but --seq-len 128 --batch-size 2 needs at least 130; "
        "--seq-len 98 would work"
    )


def test_a_part_too_short_is_named_and_the_fraction_that_works():
    with pytest.raises(MicrogptError) as caught:
        check_long_enough(100, 128, 128, 1, "poem.txt", 0.9999)
    assert str(caught.value) == (
        "the part of poem.txt that --val-fraction 0.9999 leaves to train on has 100 characters, but "
        "--seq-len 128 --batch-size 1 needs at least 129; --seq-len 99 or --val-fraction 0.99 would work"
    )


@settings(deadline=None)
@given(n=st.integers(4, 100_000), val_fraction=st.floats(0.001, 0.9999), T=st.integers(1, 500))
@example(n=9, val_fraction=0.5, T=5)  # 0.12 of it would hold out a single character
def test_the_fraction_that_is_offered_works(n, val_fraction, T):
    try:
        train, _ = split(np.empty(n, np.uint8), val_fraction)
    except MicrogptError:
        return
    try:
        check_long_enough(len(train), T, T, 1, "the text", val_fraction)
    except MicrogptError as error:
        if offered := re.search(r"--val-fraction (\S+) would work", str(error)):
            assert 0 < float(offered[1]) < val_fraction
            train, _ = split(np.empty(n, np.uint8), float(offered[1]))
            check_long_enough(len(train), T, T, 1, "the text")
        else:
            assert n < 1.02 * (T + 4) + 2 / (1 - val_fraction)


# --- split


def test_split_holds_out_the_tail():
    ids = np.arange(100, dtype=np.uint8)
    train, val = split(ids, 0.29)
    assert train.tolist() == list(range(71))
    assert val.tolist() == list(range(71, 100))
    assert np.shares_memory(train, ids)
    assert np.shares_memory(val, ids)
    train, val = split(ids, 0)
    assert (len(train), len(val)) == (100, 0)


@pytest.mark.parametrize("val_fraction", [-0.1, 1, 1.5, float("nan"), 0.001, 0.01, 0.99, 0.999])
def test_splits_that_leave_too_little(val_fraction):
    with pytest.raises(MicrogptError, match="--val-fraction"):
        split(np.arange(100), val_fraction)
