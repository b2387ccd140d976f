"""What a race has found, from results that are made up."""

import json
import math

import numpy as np
import pytest
from made_up_races import ENTRANTS, bits_in, held, row_of, same_seconds, small_plan

from microgpt.race.report import NOT_OVER, report
from microgpt.race.runs import FIRST_TUNING_SEED, entries
from microgpt.race.statistics import least_seeds

THREE = {**ENTRANTS, "exponential": {"heads": "exponential"}}
ADVANTAGE = {"uniform": 0.0, "ones": 0.05, "exponential": 0.02}


def luck(seed):
    """What a seed gives to every entrant: more than one differs from another."""
    return 0.3 * math.sin(seed)


def loss(run):
    """The rate of the rule is the best; a little noise beside the luck of the seed."""
    config = run.config
    rate = 0.1 * abs(math.log(config.lr / 0.00707))
    noise = 0.001 * math.sin(99 * config.seed + len(run.entrant))
    return 2.5 - ADVANTAGE.get(run.entrant, 0) + luck(config.seed) + rate + noise + 2 / config.steps


def reported(plan, loss=loss, seconds=None, earlier=None, **how):
    rows = held(plan, loss, seconds, **how)
    return report(plan, rows, bits_in(rows), seconds or same_seconds(plan), earlier or {})


@pytest.fixture(scope="module")
def found():
    """A race of three, of which each of the others is slower than the first one."""
    plan = small_plan(entrants=THREE)
    return reported(plan, seconds=same_seconds(plan, ones=0.002, exponential=0.004))


def test_the_winner_is_found_by_pairs_though_seeds_differ_more_than_entrants(found):
    (finding,) = found.findings
    judgement = finding.equal_steps
    assert judgement.names == tuple(THREE)
    assert judgement.seeds == tuple(range(1, 9))
    assert judgement.steps == (20, 20, 20)
    assert judgement.verdict.winner == "ones"
    assert [pair.winner for pair in judgement.verdict.pairs] == ["ones", "exponential", "ones"]
    assert judgement.losses.shape == (3, 8)
    spread, differences = judgement.losses.std(axis=1), judgement.losses[0] - judgement.losses[1]
    assert spread.min() > 5 * differences.std()
    assert np.mean(differences) == pytest.approx(0.05, abs=0.002)
    assert (found.left, found.notes, found.least) == (0, (), least_seeds(3))
    assert found.done == 3 * 3 * 2 + 3 * 8 + 2 * 8  # rates, equal steps, equal seconds of the slower two


def test_losses_are_those_of_the_judging_seeds_at_the_chosen_rate():
    plan = small_plan()
    rows = held(plan, loss)
    found = report(plan, rows, bits_in(rows), same_seconds(plan), {})
    (finding,) = found.findings
    for side, losses in zip(finding.sides, finding.equal_steps.losses, strict=True):
        wanted = {
            row["seed"]: row["bits"]
            for row in rows.values()
            if (row["entrant"], row["lr"]) == (side.name, side.lr) and row["seed"] < FIRST_TUNING_SEED
        }
        assert list(losses) == [wanted[seed] for seed in range(1, 9)]


def test_equal_seconds_are_judged_with_the_steps_that_each_can_take(found):
    (finding,) = found.findings
    judgement = finding.equal_seconds
    assert judgement.steps == (20, 10, 5)
    assert judgement.losses[2] == pytest.approx(finding.equal_steps.losses[2] + 2 / 5 - 2 / 20)
    assert judgement.verdict.winner == "uniform"


def test_sides_say_how_each_entrant_was_run(found):
    (finding,) = found.findings
    ones = finding.sides[1]
    assert (ones.name, ones.steps, ones.seconds, ones.done, ones.failed) == ("ones", 20, 0.04, 8, 0)
    assert [rate.lr for rate in ones.rates] == sorted(rate.lr for rate in ones.rates)
    assert ones.lr == min(ones.rates, key=lambda rate: rate.mean).lr
    assert all(rate.done and len(rate.bits) == 2 for rate in ones.rates)
    assert not ones.at_the_edge


def test_each_condition_is_judged_for_itself():
    def turned(run):
        return loss(run) if run.condition.name == "short" else 5 - loss(run)

    plan = small_plan(conditions={"short": {"seq_len": 4}, "long": {}}, tuning_seeds=0)
    short, long = reported(plan, turned).findings
    assert (short.condition, long.condition) == ("short", "long")
    assert (short.equal_steps.verdict.winner, long.equal_steps.verdict.winner) == ("ones", "uniform")


def test_without_equal_seconds_there_is_no_such_judgement():
    (finding,) = reported(small_plan(equal_seconds=False)).findings
    assert finding.equal_steps is not None
    assert finding.equal_seconds is None


# --- a race that has not come to its end


@pytest.mark.parametrize("n", [0, 1, 12, 13, 17, 27])
def test_only_seeds_are_compared_for_which_all_runs_are_done(n):
    plan = small_plan()
    found = reported(plan, runs=n)
    (finding,) = found.findings
    n_tuning, n_judging = 12, 16
    assert (found.done, found.left) == (n, n_tuning + n_judging - n + (8 if n < 12 else 0))
    pairs = max(0, n - n_tuning) // 2
    judgement = finding.equal_steps
    assert (0 if judgement is None else len(judgement.seeds)) == pairs
    if judgement is not None:
        assert judgement.losses.shape == (2, pairs)
    assert [side.lr is None for side in finding.sides] == [n < 12] * 2 or n < 12
    assert sum(side.done for side in finding.sides) == max(0, n - n_tuning)


def test_entrants_whose_rate_is_not_known_yet_are_left_out():
    plan = small_plan(entrants=THREE, tuning_seeds=2)
    rows = held(plan, loss)
    open_entrant = {
        key: row
        for key, row in rows.items()
        if row["entrant"] != "exponential" or row["seed"] == FIRST_TUNING_SEED
    }
    found = report(plan, open_entrant, bits_in(open_entrant), same_seconds(plan), {})
    (finding,) = found.findings
    assert finding.equal_steps.names == ("uniform", "ones")
    assert finding.sides[2].lr is None
    assert found.left == 3 + 2 * 8


# --- what must be known


def failing(entrant, what):
    return lambda run: math.inf if run.entrant == entrant and what(run.config) else loss(run)


def test_an_entrant_with_a_failed_run_is_not_compared():
    plan = small_plan(entrants=THREE)
    found = reported(plan, failing("ones", lambda config: config.seed in (3, 5)))
    (finding,) = found.findings
    assert finding.equal_steps.names == ("uniform", "exponential")
    assert finding.equal_steps.verdict.winner == "exponential"
    assert (finding.sides[1].done, finding.sides[1].failed) == (8, 2)
    assert found.notes == (
        "poem: ones is not compared at equal steps: 2 of its 8 runs stopped being finite.",
    )


def test_an_entrant_that_fails_with_equal_seconds_only_is_compared_at_equal_steps():
    plan = small_plan(entrants=THREE)
    seconds = same_seconds(plan, ones=0.0005)
    found = reported(plan, failing("ones", lambda config: config.steps == 40), seconds)
    (finding,) = found.findings
    assert finding.equal_steps.verdict.winner == "ones"
    assert finding.equal_seconds.names == ("uniform", "exponential")
    assert found.notes == (
        "poem: ones is not compared at equal seconds: 8 of its 8 runs stopped being finite.",
    )


def test_where_every_rate_fails_that_is_said():
    found = reported(small_plan(), failing("ones", lambda config: config.seed >= FIRST_TUNING_SEED))
    (finding,) = found.findings
    assert finding.equal_steps is None
    assert found.left == 0
    assert found.notes == (
        "poem: ones is not compared: with every rate, some of its runs stopped being finite.",
    )


def test_a_best_rate_at_the_edge_is_noted():
    found = reported(small_plan(), lambda run: loss(run) if run.entrant == "ones" else 3 - run.config.lr)
    (finding,) = found.findings
    assert [side.at_the_edge for side in finding.sides] == [True, False]
    assert found.notes == (
        "poem: the best rate of uniform is the last one that was tried on its side, so a better one may lie "
        "beyond.",
    )


def test_a_plan_that_was_changed_is_noted_with_what_was_changed():
    before, after = small_plan(seeds=6), small_plan(seeds=8, smallest_difference=0.01)
    rows = held(before, loss)
    more = held(after, loss)
    rows |= {key: row for key, row in more.items() if key not in rows}
    found = report(after, rows, bits_in(rows), same_seconds(after), {before.digest: before})
    n = 2 * 3 * 2 + 2 * 6
    assert found.notes == (
        f"{n} of the runs were made with another plan: seeds 6 there, 8 here; smallest_difference 0.005 "
        "there, 0.01 here.",
        "Whoever changes the seeds, the entrants or the conditions after a look at the results names false "
        "winners more often than in 5% of all races.",
    )
    assert found.findings[0].equal_steps.seeds == tuple(range(1, 9)), "runs of both plans count"
    unknown = report(after, rows, bits_in(rows), same_seconds(after), {})
    assert unknown.notes[0] == f"{n} of the runs were made with another plan, which is not known."


def test_runs_that_do_not_belong_to_the_plan_are_noted_and_do_not_count():
    plan = small_plan()
    rows = held(plan, loss)
    without = report(plan, rows, bits_in(rows), same_seconds(plan), {})
    entry = entries(plan)[0]
    for seed in (9, 10):
        run = entry.run(0.01, seed)
        rows[run.key] = row_of(run, 0.1, plan)
    found = report(plan, rows, bits_in(rows), same_seconds(plan), {})
    assert found.notes == (
        "2 runs do not belong to this plan, or to this version of microgpt, and do not count.",
    )
    assert found.done == without.done == len(rows) - 2
    assert np.array_equal(found.findings[0].equal_steps.losses, without.findings[0].equal_steps.losses)


ALIKE = [
    {"a": {"heads": "uniform"}, "b": {"heads": "ones"}},
    {"a": {"activation": "relu"}, "b": {}},
    {"a": {"lr": 0.01}, "b": {"lr": 0.02}},
    {"a": {"token_shift": False}, "b": {}},
    {"a": {"steps": 7}, "b": {}},
]
UNALIKE = [
    ({"d_ff": 16}, "the initial values of up_w, down_w"),
    ({"n_layers": 2}, "the initial values of qkv_w, proj_w, up_w, down_w"),
    ({"d_model": 16}, "the initial values of tok, pos, qkv_w, proj_w, up_w, down_w, unembed_w"),
    ({"positions": "learned"}, "the initial values of pos"),
    ({"order": "sequential"}, "the order in which they read the text"),
    ({"stride": 4}, "the order in which they read the text"),
    ({"init": "small"}, "how large the embeddings are at first"),
    (
        {"batch_size": 1, "init": "small"},
        "the order in which they read the text and in how large the embeddings are at first",
    ),
]


@pytest.mark.parametrize("entrants", ALIKE, ids=str)
def test_runs_of_a_seed_that_begin_alike_need_no_note(entrants):
    assert reported(small_plan(entrants=entrants), runs=0).notes == (NOT_OVER,)


@pytest.mark.parametrize(("options", "difference"), UNALIKE, ids=str)
def test_what_the_runs_of_a_seed_do_not_share_is_noted(options, difference):
    plan = small_plan(entrants={"a": {}, "b": options})
    assert reported(plan, runs=0).notes == (
        NOT_OVER,
        f"The runs of a seed differ between entrants in {difference}.",
    )


def test_in_which_condition_they_differ_is_noted():
    plan = small_plan(
        entrants={"a": {}, "b": {"d_ff": 32, "heads": "ones"}},
        conditions={"narrow": {}, "wide": {"d_model": 64}},
    )
    assert reported(plan, runs=0).notes == (
        NOT_OVER,
        "In the condition wide, the runs of a seed differ between entrants in the initial values of up_w, "
        "down_w.",
    )


def test_a_rate_that_only_some_entrants_are_given_is_noted():
    plan = small_plan(entrants={"given": {"lr": 0.01}, "best": {}}, conditions={"x": {}, "y": {"d_ff": 7}})
    assert reported(plan, runs=0).notes == (
        NOT_OVER,
        "The rate of given was given, and the others had the best one that was found: a difference may be "
        "that of the rates.",
    )


# --- as JSON


def no_constants(name):
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("n", [0, 13, 16, math.inf])
def test_a_report_is_json_at_every_moment(n):
    plan = small_plan(entrants=THREE)
    found = reported(plan, failing("ones", lambda config: config.lr > 0.009), runs=n)
    values = json.loads(json.dumps(found.as_json()), parse_constant=no_constants)
    assert values["plan"] == plan.digest
    assert values["done"] == found.done
    assert [side["name"] for side in values["findings"][0]["sides"]] == list(THREE)


def test_the_json_has_what_the_report_has(found):
    values = json.loads(json.dumps(found.as_json()), parse_constant=no_constants)
    (finding,) = values["findings"]
    judgement, expected = finding["equal_steps"], found.findings[0].equal_steps
    assert judgement["losses"] == expected.losses.tolist()
    assert judgement["verdict"]["winner"] == "ones"
    pair = judgement["verdict"]["pairs"][0]
    assert (pair["first"], pair["second"], pair["winner"]) == ("uniform", "ones", "ones")
    assert pair["interval"] == {
        "low": expected.verdict.pairs[0].interval.low,
        "high": expected.verdict.pairs[0].interval.high,
    }
    rates = finding["sides"][0]["rates"]
    assert rates[0] == {
        "lr": rates[0]["lr"],
        "bits": list(found.findings[0].sides[0].rates[0].bits),
        "done": True,
    }
