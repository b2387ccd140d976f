"""The words of a command line as the plan of a race."""

import pytest
from sentences import error_of

from microgpt.errors import UsageError
from microgpt.race.plan import DECIDED_HERE
from microgpt.race.words import plan_from, texts_and_options

TWO_LAYOUTS = {"heads": ["uniform", "ones"]}


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--seq-len", "32,128"], {"seq_len": [32, 128]}),
        (["--seq-len=32,128"], {"seq_len": [32, 128]}),
        (["--seq_len", " 32 , 128 "], {"seq_len": [32, 128]}),
        (["--lr", "1,0.5,1e-3"], {"lr": [1.0, 0.5, 0.001]}),
        (["--layouts", "uniform,exponential"], {"heads": ["uniform", "exponential"]}),
        (["--heads=prime"], {"heads": ["prime"]}),
        (["--layouts", "ones | 2x8+48, 16 + 48"], {"heads": ["ones | 2x8+48", "16 + 48"]}),
        (["--order", "shuffled", "--dtype=float64"], {"order": ["shuffled"], "dtype": ["float64"]}),
        (["--token-shift"], {"token_shift": [True]}),
        (["--no-token-shift"], {"token_shift": [False]}),
        (["--token-shift,no-token-shift"], {"token_shift": [True, False]}),
        (["--no-token-shift,token-shift"], {"token_shift": [False, True]}),
        (["--memory-cap", "1GiB"], {"memory_cap": ["1GiB"]}),
    ],
    ids=str,
)
def test_options_have_one_value_or_several(words, options):
    texts, found = texts_and_options(["a.txt", *words, "b.txt"])
    assert texts == ["a.txt", "b.txt"]
    assert found == options
    assert {name: list(map(type, values)) for name, values in found.items()} == {
        name: list(map(type, values)) for name, values in options.items()
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seq-len"], "--seq-len needs a value"),
        (["--seq-len="], "--seq-len: a value is missing; write commas without spaces, as in 1,2"),
        (["--layouts", "uniform,"], "--layouts: a value is missing; write commas without spaces, as in 1,2"),
        (["--seq-len", "32,x"], "--seq-len: seq_len = 'x' should be a whole number"),
        (["--steps", "1e3"], "--steps: steps = '1e3' should be a whole number"),
        (["--lr", "fast"], "--lr: lr = 'fast' should be a number"),
        (["--seq-len", "9" * 5000], f"--seq-len: seq_len = '{'9' * 56}... should be a whole number"),
        (["--seq-lenn", "3"], "unknown option --seq-lenn: did you mean --seq-len?"),
        (["--seq_lenn", "3"], "unknown option --seq_lenn: did you mean --seq-len?"),
        (["--layout", "ones"], "unknown option --layout: did you mean --layouts?"),
        (["--n_embd", "3"], "unknown option --n_embd: here it is 'd_model'"),
        (["--dropout", "3"], "unknown option --dropout: there is none here"),
        (["--xyzzy"], "unknown option --xyzzy: `microgpt train --help` tells which there are"),
        (["--xyz\nzy=3"], "unknown option --xyz\\nzy: `microgpt train --help` tells which there are"),
        (["--", "3"], "unknown option --: `microgpt train --help` tells which there are"),
        (["--seq-len", "3,4,3"], "--seq-len: name each value once"),
        (["--lr", "0.1,0.10"], "--lr: name each value once"),
        (["--token-shift,token-shift"], "--token-shift,token-shift: name each value once"),
        (["--token-shift=yes"], "--token-shift takes no value"),
        (
            ["--seq-len", "3", "--seq-len=4"],
            "--seq-len is given twice: give all its values at once, with commas",
        ),
        (
            ["--layouts", "ones", "--heads", "prime"],
            "--heads is given twice: give all its values at once, with commas",
        ),
        (
            ["--token-shift", "--no-token-shift"],
            "--token-shift is given twice: give all its values at once, with commas",
        ),
        *(
            ([f"--{name.replace('_', '-')}", "1"], f"leave --{name.replace('_', '-')} away: {reason}")
            for name, reason in DECIDED_HERE.items()
        ),
    ],
    ids=str,
)
def test_wrong_words_are_named_in_a_sentence(words, message):
    with pytest.raises(UsageError) as caught:
        texts_and_options(["a.txt", *words])
    assert str(caught.value) == message


# --- the plan of them


def planned(words, across=(), **settings):
    return plan_from(*texts_and_options(words.split()), across, settings)


def test_options_with_several_values_make_the_entrants():
    plan = planned("a.txt b.txt --layouts uniform,exponential --steps 34000 --no-token-shift", seeds=20)
    assert plan.texts == ("a.txt", "b.txt")
    assert plan.options == {"steps": 34_000, "token_shift": False}
    assert plan.entrants == {"uniform": {"heads": "uniform"}, "exponential": {"heads": "exponential"}}
    assert list(plan.entrants) == ["uniform", "exponential"]
    assert plan.conditions == {}
    assert (plan.seeds, plan.tuning_seeds, plan.sha256) == (20, 10, ())


def test_several_such_options_make_an_entrant_of_each_combination():
    plan = planned("a.txt --layouts uniform,ones --d-ff 7,64 --token-shift,no-token-shift")
    assert list(plan.entrants) == [
        f"{layout} d-ff {d_ff} {shift}"
        for layout in ("uniform", "ones")
        for d_ff in (7, 64)
        for shift in ("token-shift", "no-token-shift")
    ]
    assert plan.entrants["ones d-ff 7 no-token-shift"] == {"heads": "ones", "d_ff": 7, "token_shift": False}


def test_numbers_are_named_with_their_option():
    assert list(planned("a.txt --lr 0.01,0.002").entrants) == ["lr 0.01", "lr 0.002"]


@pytest.mark.parametrize(
    ("across", "conditions"),
    [
        (["seq-len=32,128"], {"seq-len 32": {"seq_len": 32}, "seq-len 128": {"seq_len": 128}}),
        (["--seq-len=32"], {"seq-len 32": {"seq_len": 32}}),
        (
            ["token-shift,no-token-shift"],
            {"token-shift": {"token_shift": True}, "no-token-shift": {"token_shift": False}},
        ),
        (
            ["order=sequential,shuffled", "d-ff=9"],
            {
                "sequential d-ff 9": {"order": "sequential", "d_ff": 9},
                "shuffled d-ff 9": {"order": "shuffled", "d_ff": 9},
            },
        ),
    ],
    ids=str,
)
def test_across_makes_conditions(across, conditions):
    plan = planned("a.txt --layouts uniform,ones", across)
    assert plan.conditions == conditions
    assert list(plan.entrants) == ["uniform", "ones"]


@pytest.mark.parametrize(
    ("across", "message"),
    [
        (["seq-len"], "--across 'seq-len' should be an option and its values, as seq-len=32,128"),
        (["seq-len=x"], "--seq-len: seq_len = 'x' should be a whole number"),
        (["seq-lenn=3"], "unknown option --seq-lenn: did you mean --seq-len?"),
        (["seq-len=3,3"], "--seq-len: name each value once"),
        (["seed=3"], f"leave --seed away: {DECIDED_HERE['seed']}"),
        (["d-ff=3"], "--d-ff is given twice: once of it with --across"),
        (["layouts=ones,prime"], "--heads is given twice: once of it with --across"),
        (
            ["seq-len=3", "seq-len=4"],
            "--seq-len is given twice: give all its values at once, with commas",
        ),
        (
            ["token-shift=true,false"],
            "--token-shift takes no value: write token-shift,no-token-shift for both",
        ),
        (["token-shift=on"], "--token-shift takes no value: write token-shift,no-token-shift for both"),
    ],
    ids=str,
)
def test_wrong_conditions_are_named_in_a_sentence(across, message):
    with pytest.raises(UsageError) as caught:
        planned("a.txt --layouts uniform,ones --d-ff 7", across)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--layouts uniform,ones", "a race needs a text: microgpt race FILE --layouts uniform,exponential"),
        ("a.txt", "a race needs at least two entrants"),
        ("a.txt --layouts ones --d-ff 3", "a race needs at least two entrants"),
        ("a.txt --layouts uniform,uniforn", "there is no head layout 'uniforn' (did you mean 'uniform'?)"),
        ("a.txt --layouts uniform,4x16", "the entrants uniform and 4x16 are the same"),
        ("a.txt --lr nan,0.1", "--lr must be at least 0 and below 1e+06, not nan"),
        ("a.txt --layouts prime,ones --d-model 32", "the prime head layout needs a d_model that is"),
    ],
)
def test_words_that_make_no_race_are_named_too(words, message):
    assert error_of(planned, words).startswith(message)
