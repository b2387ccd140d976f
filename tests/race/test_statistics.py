"""The verdict on a race: against simulated races, counted combinations, calculations by hand and tables."""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmarks.false_winners import coverage, false_winners, right_and_wrong
from microgpt.intervals import RESAMPLES, Interval
from microgpt.race.statistics import (
    ALPHA,
    MANY_SEEDS,
    holm,
    judge,
    least_seeds,
    seeds_needed,
    sign_flip_test,
)

N_RACES, FEW_RESAMPLES = 1000, 999


def noise(deviation, *shape):
    return np.random.default_rng(shape).normal(0, deviation, shape)


# six entrants, of which `c` is the best; a lucky seed makes more of a difference than the best entrant
NAMES = "abcdef"
LOSSES = 2 + noise(0.03, 40) + noise(0.006, 6, 40)
LOSSES[2] -= 0.01


# Of 5,000 races with 40 seeds and 999 resamples, the interval had the true difference in it in 94.0% where
# the noise is normal and in 93.2% where it is exponential; the bound was too small in 4.4% and in 7.1%. By
# chance, one of a thousand correct programs would be outside of the limits.
@pytest.mark.parametrize(
    ("noise", "covered", "too_small"), [("normal", 0.940, 0.044), ("exponential", 0.932, 0.071)]
)
def test_intervals_and_bounds_hold_as_often_as_they_are_known_to(noise, covered, too_small):
    inside, below = coverage(N_RACES, 40, FEW_RESAMPLES, noise)
    for share, known in ((inside, covered), (below, too_small)):
        low, high = stats.binom.interval(0.999, N_RACES, known)
        assert low <= share * N_RACES <= high


def test_a_race_without_a_difference_has_a_winner_in_five_percent_at_the_most():
    """Without Holm's adjustment it would be in about 20%. Of 3,000 such races, 4.3% had one."""
    share = false_winners(N_RACES, 4, 40, FEW_RESAMPLES)
    assert 0.01 < share <= stats.binom.ppf(0.95, N_RACES, ALPHA) / N_RACES


def test_a_difference_of_a_standard_deviation_is_found_with_forty_seeds():
    right, wrong = right_and_wrong(100, 40, FEW_RESAMPLES)
    assert right >= 0.9
    assert wrong <= 0.1


def test_the_winner_of_all_pairs_is_the_winner_of_the_race():
    verdict = judge(NAMES, LOSSES)
    assert verdict.winner == "c"
    assert verdict.unbeaten == ("c",)
    assert [(pair.first, pair.second) for pair in verdict.pairs] == list(itertools.combinations(NAMES, 2))
    assert {pair.winner for pair in verdict.pairs if "c" in (pair.first, pair.second)} == {"c"}
    assert all(pair.within is None for pair in verdict.pairs if pair.winner)
    for standing, losses in zip(verdict.standings, LOSSES, strict=True):
        assert standing.mean == losses.mean()
        assert standing.interval.low < standing.mean < standing.interval.high


def test_those_that_nobody_beats_are_listed_and_the_best_is_first():
    losses = LOSSES.copy()
    losses[4] = losses[2] + 0.001 * np.tile([1, -1, 1, -0.8], 10)
    verdict = judge(NAMES, losses)
    assert verdict.winner is None
    assert verdict.unbeaten == ("c", "e")


def test_without_a_winner_a_bound_is_given():
    (pair,) = judge("ab", LOSSES[:2]).pairs
    differences = LOSSES[0] - LOSSES[1]
    assert pair.winner is None
    expected = stats.bootstrap(
        (differences,), np.mean, confidence_level=0.9, random_state=np.random.default_rng(0), axis=-1
    ).confidence_interval
    assert pair.within == pytest.approx(max(abs(expected.low), abs(expected.high)), rel=1e-9)
    by_student = abs(differences.mean()) + stats.t.ppf(0.95, 39) * stats.sem(differences)
    assert pair.within == pytest.approx(by_student, rel=0.1)


def test_a_winner_needs_the_interval_and_the_test():
    rises = np.array([0.1, 0.2, 0.3, 0.2, 0.1, -0.01])  # with both signs of the last one, 4 of 64
    (by_interval,) = judge("ab", np.stack([rises, 0 * rises])).pairs
    assert by_interval.interval.low > 0
    assert by_interval.p == by_interval.adjusted_p == 4 / 64
    assert by_interval.winner is None
    assert by_interval.within is not None
    # after the adjustment for the other pairs
    three = noise(1, 3, 8)
    three[1] = three[0] + np.array([1, 2, 1, 2, 1, 2, 1, -1])
    (pair, *_) = judge("abc", three).pairs
    assert pair.interval.high < 0
    assert pair.p < ALPHA < pair.adjusted_p
    assert pair.winner is None
    # one seed that is far off tells the interval more than it tells the test
    falls = np.array([-1.4, -1.4, -0.7, -1.4, -0.8, -0.9, -1.2, -0.3, 1.5, -1.2])
    (by_test,) = judge("ab", np.stack([falls, 0 * falls])).pairs
    assert by_test.adjusted_p < ALPHA
    assert by_test.interval.low < 0 < by_test.interval.high
    assert by_test.winner is None


def test_the_order_of_the_entrants_changes_nothing_but_signs():
    verdict, mirrored = judge("ab", LOSSES[1:3]), judge("ba", LOSSES[2:0:-1])
    (pair,), (other,) = verdict.pairs, mirrored.pairs
    assert pair.winner == other.winner == "b"
    assert pair.p == other.p
    assert pair.difference == -other.difference
    assert pair.interval == pytest.approx((-other.interval.high, -other.interval.low))


def test_the_same_losses_give_the_same_figures_and_other_entrants_change_only_the_adjustment():
    verdict = judge(NAMES, LOSSES, 0.004)
    assert judge(NAMES, LOSSES, 0.004) == verdict
    alone, beside = judge("ab", LOSSES[:2]).pairs[0], verdict.pairs[0]
    assert alone.interval == pytest.approx(beside.interval, rel=1e-12)
    assert (alone.p, alone.within) == (beside.p, pytest.approx(beside.within, rel=1e-12))
    assert alone.adjusted_p == alone.p < beside.adjusted_p


def test_few_signs_are_all_tried():
    differences = 0.5 + noise(1, 3, 8)
    signs = np.array(list(itertools.product((1, -1), repeat=8)))
    means = (signs[:, None] * differences).mean(axis=2)
    expected = (np.abs(means) >= np.abs(differences.mean(axis=1)) - 1e-12).mean(axis=0)
    np.testing.assert_allclose(sign_flip_test(differences, RESAMPLES, 0), expected)


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.4, 0.01])), [0.8, 0.8, 0.03])
    np.testing.assert_allclose(holm(np.array([0.9, 0.6])), [1, 1])


@pytest.mark.parametrize(("n_entrants", "least"), [(2, 6), (3, 7), (6, 10)])
def test_fewer_seeds_than_the_least_find_nothing(n_entrants, least):
    n_pairs = n_entrants * (n_entrants - 1) // 2
    assert least_seeds(n_pairs) == least
    losses = np.arange(n_entrants)[:, None] + noise(0.01, n_entrants, least)
    names = NAMES[:n_entrants]
    assert judge(names, losses).winner == "a"
    fewer = judge(names, losses[:, 1:])
    assert all(pair.winner is None for pair in fewer.pairs)
    assert set(fewer.unbeaten) == set(names)


def test_many_pairs_have_as_many_resamples_as_they_need():
    losses = np.arange(3)[:, None] + noise(0.01, 3, 20)
    assert judge("abc", losses, resamples=30).winner == "a"


# what tables and programs say of the paired t test, two-sided at 5% and with a power of 80%, for effects that
# are called small, medium and large
@pytest.mark.parametrize(("effect", "expected"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed_are_those_of_tables(effect, expected):
    assert seeds_needed(1.0, effect, 1) == expected


@pytest.mark.parametrize("n_pairs", [1, 15])
def test_seeds_needed_give_the_power_in_a_simulation(n_pairs):
    n = seeds_needed(0.009, 0.004, n_pairs)

    def power(n):
        found = stats.ttest_1samp(np.random.default_rng(1).normal(0.004, 0.009, (20_000, n)), 0, axis=1)
        return (found.pvalue <= ALPHA / n_pairs).mean()

    assert power(n) == pytest.approx(0.8, abs=0.015)
    assert power(n - 6) < 0.78


def test_seeds_needed_are_no_fewer_than_any_winner_needs():
    assert seeds_needed(0.0, 0.004, 15) == seeds_needed(0.0001, 0.004, 15) == least_seeds(15)
    assert seeds_needed(1.0, 1e-3, 1) == pytest.approx(1e6 * 7.849, rel=1e-4)
    assert seeds_needed(1e9, 0.005, 1) == MANY_SEEDS
    assert seeds_needed(1e-300, 0.005, 1) == least_seeds(1)


# --- where there is little to judge


@pytest.mark.parametrize("n_seeds", [1, 2, 5])
def test_of_few_seeds_there_is_no_interval(n_seeds):
    verdict = judge("abc", LOSSES[:3, :n_seeds], 0.004)
    assert verdict.winner is None
    assert set(verdict.unbeaten) == set("abc")
    assert all(standing.interval is None for standing in verdict.standings)
    for pair in verdict.pairs:
        assert pair.interval is pair.within is pair.winner is None
        assert pair.p >= 2 / 2**n_seeds
        assert (pair.deviation is None) == (pair.seeds_needed is None) == (n_seeds == 1)


@pytest.mark.parametrize("n_seeds", [6, 8, 40])
def test_entrants_that_are_the_same_differ_by_zero(n_seeds):
    (pair,) = judge("ab", np.stack([LOSSES[0, :n_seeds]] * 2), 0.004).pairs
    assert pair.interval == Interval(0, 0)
    assert pair.p == pair.adjusted_p == 1
    assert pair.deviation == pair.within == 0
    assert pair.winner is None


def test_a_difference_that_is_always_the_same_is_its_own_interval():
    losses = np.stack([np.arange(12.0), np.arange(12.0) + 0.5])
    (pair,) = judge("ab", losses, 0.004).pairs
    assert pair.interval == Interval(-0.5, -0.5)
    assert pair.deviation == 0
    assert pair.p == 2 / 2**12
    assert pair.winner == "a"
    assert pair.seeds_needed == least_seeds(1)


def test_differences_that_only_rounding_tells_apart_have_an_interval():
    losses = np.stack([LOSSES[0], LOSSES[0] + 0.1])
    (pair,) = judge("ab", losses).pairs
    assert pair.deviation > 0
    assert pair.interval == pytest.approx((-0.1, -0.1), abs=1e-15)


def test_an_entrant_alone_has_an_interval_and_beats_nobody():
    verdict = judge("a", LOSSES[:1])
    assert verdict.pairs == ()
    assert verdict.winner is None
    assert verdict.unbeaten == ("a",)
    assert verdict.standings[0].interval is not None


def test_losses_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="finite"):
        judge("ab", np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]]))
