"""The runs of a race: what tells them apart, which rates are tried, and in what order all of it is done."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_races import ENTRANTS, SMALL, bits_in, held, row_of, same_seconds, small_plan
from sentences import error_of

from microgpt.config import TrainConfig
from microgpt.machine.backends import load_backend
from microgpt.machine.budget import Budget
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.model.placed import place
from microgpt.race import runs
from microgpt.race.plan import Condition
from microgpt.race.runs import (
    FARTHEST,
    FIRST_TUNING_SEED,
    STEP,
    Run,
    due,
    entries,
    known_runs,
    not_known_yet,
    steps_of_equal_seconds,
)
from microgpt.training.trainer import Trainer

CONFIG = TrainConfig("poem.txt", val_fraction=0.1, lr=0.01, seed=1, **SMALL)
PLACE = Condition("poem", "poem.txt", {})
# another value of every option
OTHER = {
    "file": "prose.txt",
    "steps": 21,
    "heads": "ones",
    "backend": "openblas",
    "seq_len": 9,
    "stride": 3,
    "batch_size": 3,
    "order": "sequential",
    "d_model": 16,
    "n_layers": 2,
    "d_ff": 16,
    "positions": "none",
    "activation": "relu",
    "token_shift": False,
    "attention_scale": "linear",
    "init": "small",
    "lr": 0.02,
    "beta2": 0.9,
    "schedule": "constant",
    "min_lr": 0.001,
    "warmup": 1,
    "clip": 0.5,
    "weight_decay": 0.1,
    "val_fraction": 0.2,
    "eval_every": 5,
    "sample_every": 5,
    "snapshots": 5,
    "ngrams": 3,
    "seed": 2,
    "dtype": "float64",
    "replicas": 2,
    "local_steps": 5,
    "outer_lr": 1.0,
    "outer_momentum": 0.9,
    "threads": 1,
    "memory_cap": "1GiB",
    "out": "runs/x",
    "weights": "runs/y",
}
# These belong to the machine and to what a run leaves behind; of the text its SHA-256 counts, not its name
DECIDE_NOTHING = {
    "file", "out", "threads", "memory_cap", "eval_every", "sample_every", "snapshots", "weights",
}  # fmt: skip


def key(config, entrant="a", condition=PLACE, sha256="0" * 64):
    return Run(condition, entrant, config, sha256).key


# --- what a run is


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(TrainConfig)])
def test_the_key_of_a_run_follows_every_option_that_decides_it_and_no_other(name):
    config = dataclasses.replace(CONFIG, replicas=1, local_steps=1)
    other = dataclasses.replace(config, **{name: OTHER[name]})
    assert other != config
    assert (key(other) == key(config)) == (name in DECIDE_NOTHING)


def test_the_key_follows_the_text_and_the_version_but_no_name(monkeypatch):
    assert key(CONFIG, sha256="1" * 64) != key(CONFIG)
    assert key(CONFIG, entrant="b", condition=Condition("c", "d.txt", {"d_ff": 3})) == key(CONFIG)
    before = key(CONFIG)
    monkeypatch.setattr(runs, "__version__", "99.0")
    assert key(CONFIG) != before


def test_an_option_that_is_left_open_counts_as_what_it_comes_to():
    rates = CONFIG.rates._asdict()
    written_out = dataclasses.replace(CONFIG, stride=8, d_ff=32, heads="2x16", **rates)
    assert key(written_out) == key(CONFIG)


@dataclasses.dataclass(frozen=True)
class LaterConfig(TrainConfig):
    """A run of a version that has one more option."""

    novel: str = "new"


def test_an_option_of_a_later_version_leaves_old_keys_alone(monkeypatch):
    options = dataclasses.asdict(CONFIG)
    monkeypatch.setattr(runs, "BEFORE", {**runs.BEFORE, "novel": "old"})
    assert key(LaterConfig(**options, novel="old")) == key(CONFIG)
    assert key(LaterConfig(**options)) != key(CONFIG)


def test_seeds_that_choose_a_rate_never_judge():
    assert small_plan(seeds=100_000).seeds < FIRST_TUNING_SEED
    assert error_of(lambda: small_plan(seeds=100_001)).startswith("--seeds must be between")
    for entry in entries(small_plan(seeds=3, tuning_seeds=2)):
        assert [run.config.seed for run in entry.judging(0.1)] == [1, 2, 3]
        tuning = [run.config.seed for run in entry.tuning(0.1)]
        assert tuning == [FIRST_TUNING_SEED, FIRST_TUNING_SEED + 1]


@pytest.mark.parametrize("seed", [0, 7])
def test_runs_of_a_seed_begin_alike_and_read_alike(seed):
    """Whatever their heads and their rates are: bit for bit the same values, and the same characters."""
    plan = small_plan(
        options={**SMALL, "d_model": 64, "backend": "reference"},
        entrants={name: {"heads": name} for name in HEAD_LAYOUTS},
    )
    ids = np.random.default_rng(0).integers(0, 7, 100).astype(np.uint8)
    begun, read, ended = set(), set(), set()
    for number, entry in enumerate(entries(plan), 1):
        config = entry.judging(0.01 / number)[seed].config
        placed = place(load_backend(config.backend), config.architecture(7), Budget(None))
        trainer = Trainer(placed, config, ids)
        begun.add(placed.param.tobytes())
        batch = trainer.state.batch
        chunks = []
        for _ in range(9):  # more than an epoch
            trainer.advance(1)
            chunks += [batch.inputs.tobytes(), batch.targets.tobytes()]
        read.add(tuple(chunks))
        ended.add(placed.param.tobytes())
    assert (len(begun), len(read)) == (1, 1)
    assert len(set(next(iter(read)))) > 9, "each step reads something else"
    assert len(ended) == len(HEAD_LAYOUTS)


# --- which rates are tried


def places_tried(entry, bits):
    """The places of the rates, counted from that of the rule in factors of sqrt(2)."""
    found = [math.log(rate.lr / entry.open.rates.lr, STEP) for rate in entry.rates(bits)]
    assert all(abs(place - round(place)) < 1e-4 for place in found)
    return [round(place) for place in found]


def place_of(run, entry):
    return round(math.log(run.config.lr / entry.open.rates.lr, STEP))


def tuned(plan, loss_at, entrant=0):
    """An entry after its tuning, with what its runs have come to; loss_at: bits of a place and a seed."""
    race = entries(plan)
    rows = held(plan, lambda run: loss_at(place_of(run, race[entrant]), run.config.seed))
    return race[entrant], bits_in(rows)


@pytest.mark.parametrize(("n", "first"), [(1, [0]), (2, [-1, 0]), (3, [-1, 0, 1]), (5, [-2, -1, 0, 1, 2])])
def test_the_first_rates_lie_around_that_of_the_rule(n, first):
    entry = entries(small_plan(rates=n))[0]
    assert places_tried(entry, {}) == first
    assert [rate.done for rate in entry.rates({})] == [False] * n
    assert all(math.isinf(rate.mean) for rate in entry.rates({}))


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (0, [-1, 0, 1]),
        (1, [-1, 0, 1, 2]),
        (4, [-1, 0, 1, 2, 3, 4, 5]),
        (-1, [-2, -1, 0, 1]),
        (-3, [-4, -3, -2, -1, 0, 1]),
        (99, list(range(-1, 1 + FARTHEST + 1))),
        (-99, list(range(-1 - FARTHEST, 2))),
    ],
)
def test_rates_are_added_until_the_best_one_has_neighbours(best, tried):
    entry, bits = tuned(small_plan(), lambda place, seed: 2 + 0.01 * abs(place - best))
    assert places_tried(entry, bits) == tried
    lr = entry.best_lr(bits)
    assert round(math.log(lr / entry.open.rates.lr, STEP)) == min(max(best, tried[0]), tried[-1])


@pytest.mark.parametrize(("best", "tried"), [(0, [-1, 0, 1]), (-2, [-3, -2, -1, 0]), (2, [-1, 0, 1, 2, 3])])
def test_from_one_rate_both_sides_are_tried(best, tried):
    entry, bits = tuned(small_plan(rates=1), lambda place, seed: 2 + 0.01 * abs(place - best))
    assert places_tried(entry, bits) == tried


def test_a_rate_at_which_one_run_has_failed_is_never_the_best():
    """However good its other runs are."""
    entry, bits = tuned(
        small_plan(),
        lambda place, seed: math.inf if place > 0 and seed == FIRST_TUNING_SEED else 2 - 0.1 * place,
    )
    assert places_tried(entry, bits) == [-1, 0, 1]
    assert entry.best_lr(bits) == float(f"{entry.open.rates.lr:.6g}")


def test_where_every_rate_fails_nothing_is_judged_and_nothing_waits():
    plan = small_plan()
    entry, bits = tuned(plan, lambda place, seed: math.inf)
    assert entry.best_lr(bits) is None
    assert len(bits) == len(plan.entrants) * plan.rates * plan.tuning_seeds
    assert not_known_yet(entries(plan), bits) == 0


def test_rates_are_not_added_before_all_of_the_first_ones_are_known():
    plan = small_plan()
    entry = entries(plan)[0]
    runs_of_all = [run for rate in entry.rates({}) for run in entry.tuning(rate.lr)]
    bits = {run.key: 2 - run.config.lr for run in runs_of_all[:-1]}
    assert places_tried(entry, bits) == [-1, 0, 1]
    assert entry.best_lr(bits) is None
    assert entry.is_open(bits)
    assert places_tried(entry, bits | {runs_of_all[-1].key: 0.0}) == [-1, 0, 1, 2]


def test_a_rate_that_is_given_is_judged_without_tuning():
    plan = small_plan(entrants={"given": {"lr": 0.5}, "tuned": {}})
    given_rate, _ = entries(plan)
    assert given_rate.best_lr({}) == 0.5
    assert not given_rate.is_open({})
    first = due([given_rate], {}, same_seconds(plan))
    assert [run.config.seed for run in first] == list(range(1, plan.seeds + 1))
    without = small_plan(tuning_seeds=0)
    assert {run.config.lr for run in due(entries(without), {}, same_seconds(without))} == {
        entries(without)[0].open.rates.lr
    }


# --- equal seconds


def test_steps_of_equal_seconds_take_as_long_as_those_of_the_first():
    plan = small_plan()
    first, second = entries(plan)
    for slower, steps in ((1.0, 20), (2.0, 10), (0.5, 40), (3.0, 7), (1e9, 1)):
        seconds = same_seconds(plan, ones=0.001 * slower)
        assert steps_of_equal_seconds(second, seconds) == steps
        assert steps_of_equal_seconds(first, seconds) == 20


def test_runs_with_equal_seconds_that_are_those_with_equal_steps_run_once():
    """So it is with the first entrant, and with every other one whose steps take as long."""
    plan = small_plan(tuning_seeds=0)
    seeds = plan.seeds
    for slower, n in ((1.0, 2 * seeds), (2.0, 3 * seeds)):
        seconds = same_seconds(plan, ones=0.001 * slower)
        found = due(entries(plan), {}, seconds)
        assert len(found) == len({run.key for run in found}) == n
        assert len(list(known_runs(entries(plan), {}, seconds))) == n
        counted = Counter((run.entrant, run.config.steps) for run in found)
        expected = {("uniform", 20): seeds, ("ones", 20): seeds}
        assert counted == expected | ({("ones", 10): seeds} if slower == 2 else {})
    without = small_plan(tuning_seeds=0, equal_seconds=False)
    assert len(due(entries(without), {}, {})) == 2 * seeds


def test_the_runs_of_a_seed_come_together():
    """So that a race which is interrupted has pairs to compare."""
    plan = small_plan(tuning_seeds=0, equal_seconds=False, seeds=3)
    found = [(run.config.seed, run.entrant) for run in due(entries(plan), {}, {})]
    assert found == [(seed, entrant) for seed in (1, 2, 3) for entrant in ENTRANTS]


def test_what_waits_is_counted():
    plan = small_plan(conditions={"short": {"seq_len": 4}, "long": {}})
    race, seconds = entries(plan), same_seconds(plan)
    assert not_known_yet(race, {}) == 2 * (1 + 2) * plan.seeds  # the first entrant has its own seconds
    assert not_known_yet(entries(small_plan(equal_seconds=False)), {}) == 2 * plan.seeds
    assert not_known_yet(race, bits_in(held(plan, lambda run: 2 + run.config.lr, seconds))) == 0


# --- a race from its beginning to its end


def expected_places(mean_at, n):
    """A walk along the rates, told in other words than `Entry.rates`: outwards while it gets better.

    Of equally good rates, the lowest is the best.
    """
    tried = {place: mean_at(place) for place in range(-(n // 2), n - n // 2)}
    low, high = min(tried) - FARTHEST, max(tried) + FARTHEST
    best = min(tried, key=lambda place: (tried[place], place))
    for direction, last in ((-1, low), (1, high)):
        while best + direction not in tried and best != last and math.isfinite(tried[best]):
            following = best + direction
            tried[following] = mean_at(following)
            if (tried[following], following) > (tried[best], best):
                break
            best = following
    return tried, best


# few different values, so that rates are often equally good
losses = st.one_of(st.sampled_from([1.0, 1.5, 2.0, math.inf]), st.floats(0.5, 3))


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_race_ends_after_just_the_runs_that_it_needs(data):
    plan = small_plan(
        seeds=data.draw(st.integers(1, 3), "seeds"),
        tuning_seeds=data.draw(st.integers(1, 2), "tuning seeds"),
        rates=data.draw(st.integers(1, 4), "rates"),
        equal_seconds=data.draw(st.booleans(), "equal seconds"),
    )
    slower = data.draw(st.sampled_from([0.5, 1.0, 3.0]), "ones take")
    at_a_time = data.draw(st.integers(1, 9), "at a time")
    race, seconds = entries(plan), same_seconds(plan, ones=0.001 * slower)
    of_entrant = {entry.entrant: entry for entry in race}
    slope = {name: data.draw(st.sampled_from([-0.2, 0.0, 0.1]), name) for name in plan.entrants}
    table, order = {}, []

    def loss(run):
        place = place_of(run, of_entrant[run.entrant])
        order.append(run)
        what = run.entrant, place, run.config.seed, run.config.steps
        if what not in table:
            table[what] = data.draw(losses, str(what)) + slope[run.entrant] * place
        return table[what]

    rows = held(plan, loss, seconds, at_a_time)
    bits = bits_in(rows)
    assert due(race, bits, seconds) == []
    assert not_known_yet(race, bits) == 0
    n_runs = 0
    for entry in race:
        name = entry.entrant
        tuning_seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + plan.tuning_seeds)

        def mean_at(place, name=name, tuning_seeds=tuning_seeds):
            return math.fsum(table[name, place, seed, 20] for seed in tuning_seeds) / len(tuning_seeds)

        tried, best = expected_places(mean_at, plan.rates)
        assert places_tried(entry, bits) == sorted(tried)
        tuning = [i for i, run in enumerate(order) if run.entrant == name and run.config.seed in tuning_seeds]
        judging = [i for i, run in enumerate(order) if run.entrant == name and run.config.seed <= plan.seeds]
        assert len(tuning) == plan.tuning_seeds * len(tried)
        n_runs += len(tuning) + len(judging)
        if math.isinf(tried[best]):
            assert judging == []
            assert entry.best_lr(bits) is None
            continue
        steps = {20, steps_of_equal_seconds(entry, seconds)} if plan.equal_seconds else {20}
        assert len(judging) == plan.seeds * len(steps)
        assert max(tuning) < min(judging), "it is judged when its rate is known"
        assert {place_of(order[i], entry) for i in judging} == {best}
        assert {(order[i].config.seed, order[i].config.steps) for i in judging} == {
            (seed, n) for seed in range(1, plan.seeds + 1) for n in steps
        }
    assert len(rows) == n_runs


def test_a_race_goes_on_where_it_was_interrupted():
    plan = small_plan()
    seconds = same_seconds(plan, ones=0.002)

    def loss(run):
        return 2 + abs(math.log(run.config.lr / 0.02)) + run.config.seed % 7 / 100

    whole = held(plan, loss, seconds, at_a_time=5)
    for n in (0, 1, 11, len(whole) - 1):
        rows = held(plan, loss, seconds, at_a_time=5, runs=n)
        assert len(rows) == n
        while found := due(entries(plan), bits_in(rows), seconds):
            rows |= {run.key: row_of(run, loss(run), plan) for run in found}
        assert rows == whole
