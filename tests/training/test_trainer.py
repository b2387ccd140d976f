"""The trainer: the same numbers whatever the backend, the threads and the interruptions; and no waste."""

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from microgpt_kernels import load
from numba.core.runtime import _nrt_python, rtsys
from reporters import Silent
from support import CPU_BACKENDS, peak_memory

from microgpt.checkpoint.saved import load_state
from microgpt.checkpoint.writing import save_state
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.machine.budget import Budget
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.text.reading import Text, read_text
from microgpt.text.vocabulary import Vocabulary
from microgpt.training.run import Run
from microgpt.training.trainer import LOG_SLOTS, Trainer

TALES = Path(__file__).parents[2] / "data" / "input.txt"
LETTERS = "abcdefghijklmno"
V = len(LETTERS)
IDS = np.random.default_rng(0).integers(0, V, 200).astype(np.uint8)
SMALL = RECIPES["plain"] | {
    "file": "x", "seq_len": 8, "d_model": 12, "d_ff": 20, "heads": "1+4+7", "threads": 1, "lr": 0.01,
}  # fmt: skip


def trainer_of(backend, ids=IDS, vocabulary_size=V, cap=None, **options):
    config = TrainConfig(**{**SMALL, "backend": backend, **options})
    k = load(backend)
    k.set_threads(config.threads)
    return Trainer(place(k, config.architecture(vocabulary_size), Budget(cap)), config, ids)


def curve(trainer, n):
    """Loss and gradient norm of n more steps."""
    losses = trainer.advance(n)
    return np.stack([losses.loss, losses.grad_norm])


# --- the same numbers


@pytest.mark.parametrize("backend", ["reference", *CPU_BACKENDS])
@pytest.mark.parametrize("order", ["sequential", "shuffled"])
@pytest.mark.parametrize(
    "options",
    [
        {},  # 25 steps an epoch
        {"schedule": "cosine", "warmup": 5, "clip": 0.5, "weight_decay": 0.1},
        {"stride": 3, "positions": "rope"},
    ],
    ids=["plain", "cosine", "rope"],
)
def test_a_run_that_stops_and_goes_on_ends_the_same(backend, order, options, tmp_path):
    """Bit for bit, across the border of an epoch and through the files of a checkpoint."""
    options = {**SMALL, "steps": 60, "backend": backend, "order": order, **options}
    vocabulary = Vocabulary(LETTERS)
    k = load(backend)
    k.set_threads(1)

    def run():
        config = TrainConfig(**options)
        text = Text(IDS, vocabulary, "0" * 64, Path("x"))
        return Run(place(k, config.architecture(V), Budget(None)), config, text, Silent())

    whole = run().trainer
    expected = curve(whole, 60)
    parts, stops = [], (7, 24, 25, 26, 60)
    for begin, end in zip((0, *stops), stops, strict=False):
        part = run()
        if begin:
            part.restore(load_state(tmp_path))
        assert part.trainer.step == begin
        parts.append(curve(part.trainer, end - begin))
        save_state(tmp_path, part.state(), *map(part.trainer.host, ("param", "m", "v")))
    assert np.array_equal(np.hstack(parts), expected)
    for name in ("param", "m", "v"):
        assert np.array_equal(part.trainer.host(name), whole.host(name))


def test_one_seed_is_one_curve_whatever_the_threads():
    curves = [
        curve(trainer_of("crystal", threads=threads, batch_size=5, seed=seed), 30)
        for threads, seed in ((1, 1337), (2, 1337), (2, 1337), (2, 7))
    ]
    assert np.array_equal(curves[0], curves[1])
    assert np.array_equal(curves[0], curves[2])
    assert not np.array_equal(curves[0], curves[3])


@pytest.mark.parametrize("batch_size", [1, 5])
def test_backends_agree(batch_size):
    """Rounding grows with each step, from 1e-7 to about 1e-5 in 20 of them."""
    options = {"batch_size": batch_size, "lr": 1e-3, "clip": 0.5, "weight_decay": 0.1}
    exact = curve(trainer_of("reference", dtype="float64", **options), 20)
    # the step of more than one shard is the longest to compile, and openblas shares all of its new code
    for backend in ("reference", "crystal", *(["openblas"] if batch_size == 1 else [])):
        np.testing.assert_allclose(curve(trainer_of(backend, **options), 20), exact, rtol=1e-4)


def test_steps_can_be_taken_in_any_portions():
    expected = curve(trainer_of("crystal", order="shuffled"), 2 * LOG_SLOTS + 100)
    trainer = trainer_of("crystal", order="shuffled")
    portions = (1, 24, 2, LOG_SLOTS, LOG_SLOTS - 500, 573)
    assert np.array_equal(np.hstack([curve(trainer, n) for n in portions]), expected)


@pytest.mark.parametrize("order", ["sequential", "shuffled"])
def test_an_epoch_predicts_every_character_once(order):
    # each character of this text is another one
    trainer = trainer_of("reference", np.arange(200, dtype=np.uint8), 200, order=order, batch_size=3)
    epochs = []
    for _ in range(3):
        seen = []
        for _ in range(trainer.walk.steps_per_epoch):
            trainer.advance(1)
            targets = trainer.state.batch.targets
            seen += targets[targets != -1].tolist()
        assert Counter(seen) == Counter(range(1, 200))
        epochs.append(seen)
    assert trainer.epoch == 3.0
    assert trainer.characters(trainer.step) == 3 * 199
    assert (epochs[0] == epochs[1]) == (order == "sequential")


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_it_learns(backend):
    """300 steps with the default options: from about ln V = 4.23 to well below the bigram entropy, 2.43."""
    text = read_text(TALES)
    config = TrainConfig(str(TALES), steps=300, backend=backend)
    k = load(backend)
    trainer = Trainer(place(k, config.architecture(len(text.vocabulary)), Budget(None)), config, text.ids)
    loss = trainer.advance(300).loss
    assert loss[0] == pytest.approx(np.log(len(text.vocabulary)), abs=1)
    assert loss[-50:].mean() < 2.0


# --- what goes wrong


@pytest.mark.parametrize("backend", ["reference", *CPU_BACKENDS])
def test_a_parameter_that_is_not_a_number_is_named(backend):
    trainer = trainer_of(backend)
    trainer.advance(10)
    trainer.state.p.up_w[1, 2, 3] = np.nan
    before = trainer.host("param").copy()
    with pytest.raises(NotFiniteError) as caught:
        trainer.advance(5)
    assert str(caught.value) == (
        "the loss is not finite at step 11: the parameter 'up_w' is the first array with a NaN or an infinity"
    )
    assert trainer.step == 10
    assert np.array_equal(trainer.host("param"), before, equal_nan=True)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_rate_too_large_stops_with_the_last_finite_weights(backend):
    trainer = trainer_of(backend, lr=9e5, clip=0.0)
    with pytest.raises(NotFiniteError, match=r"at step \d+: the activation '\w+' .*is the first array"):
        trainer.advance(1000)
    assert 0 < trainer.step < 20
    assert all(np.isfinite(trainer.host(name)).all() for name in ("param", "m", "v"))
    # it is the state that the steps before have left
    again = trainer_of(backend, lr=9e5, clip=0.0)
    again.advance(trainer.step)
    assert np.array_equal(again.host("param"), trainer.host("param"))


def test_what_exceeds_the_budget_is_refused_before_it_is_allocated():
    tracemalloc.start()
    try:
        with pytest.raises(MicrogptError) as caught:
            trainer_of("crystal", d_model=4096, heads="uniform", d_ff=4096, cap=2 << 30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value) == (
        "out of memory budget: 769 MiB for Adam's first moments do not fit, 1.7 GiB of the 2.0 GiB cap are "
        "held; use a smaller --d-model, --d-ff or --n-layers, or raise --memory-cap"
    )
    # zeroed pages that nobody touches are no memory: only what was granted may show, and is given back
    assert peak < 2 << 30
    budget = Budget(1000)
    budget.book(400, "something", "use less")
    with pytest.raises(MicrogptError, match="601 B for a thing do not fit, 400 B of the 1000 B cap are held"):
        budget.zeros(None, (601,), np.uint8, "a thing", "use less")  # no backend: nothing can be allocated
    assert budget.held == 400


@pytest.mark.parametrize(
    ("options", "what", "remedy"),
    [
        ({"seq_len": 150}, r"the activation 'att' \(2, 1, 3, 22500\)", "a shorter --seq-len"),
        ({"batch_size": 20}, r"the activation '\w+' \(.*\)", "or a smaller --batch-size"),
        ({"d_ff": 5000}, "the model's parameters", "a smaller --d-model, --d-ff or --n-layers"),
    ],
)
def test_the_budget_names_what_would_help(options, what, remedy):
    with pytest.raises(MicrogptError, match=rf"KiB for {what} do not fit, .* held; use .*{remedy}"):
        trainer_of("reference", cap=200_000, **options)


# --- no waste


@pytest.mark.parametrize(("backend", "batch_size"), [("crystal", 1), ("crystal", 5), ("openblas", 1)])
def test_nothing_is_allocated_after_the_first_step(backend, batch_size):
    trainer = trainer_of(backend, batch_size=batch_size, order="shuffled")
    trainer.advance(LOG_SLOTS)
    held = peak_memory()
    kept, peaks = [], []
    tracemalloc.start()
    try:
        # Python's own free lists of numbers come and go by some kilobytes: a leak would show each time
        for _ in range(3):
            trainer.advance(LOG_SLOTS)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            for _ in range(5):
                trainer.advance(LOG_SLOTS)
            after, peak = tracemalloc.get_traced_memory()
            kept.append(after - before)
            peaks.append(peak - before)
    finally:
        tracemalloc.stop()
    assert min(kept) < 10_000
    # the log of 1024 steps passes through Python, as lists of losses and rates: bytes a step, no arrays
    assert min(peaks) < 200 * LOG_SLOTS
    assert peak_memory() - held < 4 << 20


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_compiled_steps_allocate_nothing(backend):
    """What NumPy cannot see: Numba's own allocations. A call makes some for its arguments, a step none."""
    trainer = trainer_of(backend)
    _nrt_python.memsys_enable_stats()
    try:

        def allocations(n):
            before = rtsys.get_allocation_stats()
            trainer._steps(n, trainer.state)
            after = rtsys.get_allocation_stats()
            return after.alloc - before.alloc, after.mi_alloc - before.mi_alloc

        allocations(1)
        assert allocations(100) == allocations(1)
    finally:
        _nrt_python.memsys_disable_stats()
