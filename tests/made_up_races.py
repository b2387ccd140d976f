"""Races without processes: plans of small runs, and results that a made-up loss gives at once."""

import math

from microgpt.race.plan import Plan
from microgpt.race.results import bits_of
from microgpt.race.runs import due, entries

SMALL = {"steps": 20, "d_model": 32, "n_layers": 1, "seq_len": 8, "batch_size": 2}
ENTRANTS = {"uniform": {"heads": "uniform"}, "ones": {"heads": "ones"}}


def small_plan(**changes):
    """A plan that is settled: its text has 1000 characters."""
    plan = {
        "texts": ("poem.txt",),
        "sha256": ("0" * 64,),
        "characters": (1000,),
        "seeds": 8,
        "tuning_seeds": 2,
        "rates": 3,
        "options": SMALL,
        "entrants": ENTRANTS,
    }
    return Plan(**plan | changes)


def same_seconds(plan, **of_a_step):
    """Steps that take equally long, but for the entrants that are named."""
    each = dict.fromkeys(plan.entrants, 0.001) | of_a_step
    return {condition.name: each for condition in plan.places()}


def held(plan, loss, seconds=None, at_a_time=None, runs=math.inf):
    """The rows of a race, by the keys of its runs.

    loss       bits per character of a run; infinite where it stops being finite
    at_a_time  how many runs are done before it is seen which others are due; None: all
    runs       after how many the race is interrupted
    """
    race, rows = entries(plan), {}
    while found := due(race, bits_in(rows), seconds or same_seconds(plan)):
        for run in found[:at_a_time]:
            if len(rows) >= runs:
                return rows
            assert run.key not in rows
            rows[run.key] = row_of(run, loss(run), plan)
    return rows


def row_of(run, bits, plan):
    config, failed = run.config, math.isinf(bits)
    return {
        "key": run.key,
        "plan": plan.digest,
        "condition": run.condition.name,
        "entrant": run.entrant,
        "lr": config.rates.lr,
        "seed": config.seed,
        "steps": config.steps,
        "bits": None if failed else bits,
        "training_nats": None if failed else bits * math.log(2),
        "problem": "the loss is not finite" if failed else None,
        "seconds": 0.02,
    }


def bits_in(rows):
    return {key: bits_of(row) for key, row in rows.items()}
