"""The plan of a race: its file, what it refuses, and the runs that it decides."""

import dataclasses
import tomllib

import numpy as np
import pytest
import tomli_w
from made_up_races import ENTRANTS, small_plan
from sentences import error_of

from microgpt.config import TrainConfig
from microgpt.race.plan import COMMENTS, DECIDED_HERE, HELD_OUT, Plan, differences, plan_of, read, to_toml
from microgpt.text.walk import Walk, split

PLANS = {
    "defaults": Plan(("poem.txt",), entrants=ENTRANTS),
    "settled": small_plan(),
    "full": small_plan(
        texts=('a "strange"\\name é\n.txt', "b/poem.txt"),
        sha256=("0" * 64, "f" * 64),
        characters=(1000, 2000),
        epochs=0.1,
        smallest_difference=1e-6,
        equal_seconds=False,
        options={"lr": 1e-5, "token_shift": False, "memory_cap": "none"},
        entrants={"ones | 2x8+48 = é": {"heads": "ones | 2x8+48"}, "d_ff 3": {"d_ff": 3}, "[red]": {}},
        conditions={"short": {"seq_len": 8}, "long": {"seq_len": 64}},
    ),
}


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "plan.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# --- its file


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_plan_comes_back_from_its_file(plan, written):
    again = read(written(to_toml(plan)))
    assert again == plan
    assert again.digest == plan.digest
    assert list(again.entrants) == list(plan.entrants)
    assert list(differences(plan, again)) == []


def backwards(table):
    """The same table with its keys the other way round, but for the entrants: the first one counts."""
    return {
        key: value if not isinstance(value, dict) or key == "entrants" else backwards(value)
        for key, value in reversed(table.items())
    }


def test_keys_may_come_in_any_order_and_with_dashes_and_other_comments(written):
    plan = PLANS["full"]
    table = backwards(tomllib.loads(to_toml(plan)))
    text = tomli_w.dumps(table).replace("tuning_seeds", "# as Fisher did it\ntuning-seeds")
    assert text != to_toml(plan)
    again = read(written(text))
    assert again == plan
    assert again.digest == plan.digest


def test_whole_numbers_do_for_real_ones(written):
    with_numbers = '{} epochs = {}\n[options]\nlr = {}\n[entrants.a]\n[entrants.b]\nheads = "ones"\n'
    whole, real = (
        read(written(with_numbers.format('texts = ["x"]\n', *numbers))) for numbers in ((1, 1), (1.0, 1.0))
    )
    assert whole.digest == real.digest


def test_what_is_left_out_has_its_default(written):
    text = 'texts = ["poem.txt"]\n[entrants]\nuniform.heads = "uniform"\nones.heads = "ones"\n'
    assert read(written(text)) == PLANS["defaults"]


def test_the_file_explains_itself():
    text = to_toml(PLANS["settled"])
    names = {field.name for field in dataclasses.fields(Plan)}
    assert COMMENTS.keys() <= names
    for name, comment in COMMENTS.items():
        assert f"\n# {comment}\n{name} = " in text
    assert "judged by the bits per character" in text.lower()
    # every option of a run is in the file: given, or as a comment
    given = {"steps", "d_model", "n_layers", "seq_len", "batch_size", "heads"}
    for option in dataclasses.fields(TrainConfig):
        value = HELD_OUT if option.name == "val_fraction" else option.default
        said = value is not None and option.name not in given | DECIDED_HERE.keys()
        assert (f"\n# {option.name} = {value}\n" in text) == said, option.name


CHANGES = {
    "texts": ("prose.txt",),
    "sha256": ("1" * 64,),
    "characters": (1001,),
    "seeds": 9,
    "tuning_seeds": 3,
    "rates": 4,
    "epochs": 2.0,
    "smallest_difference": 0.01,
    "equal_seconds": False,
    "options": {"d_model": 16},
    "entrants": {**ENTRANTS, "exponential": {"heads": "exponential"}},
    "conditions": {"short": {"stride": 3}},
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Plan)])
def test_every_part_of_a_plan_tells_it_from_others(name, written):
    before, after = small_plan(), small_plan(**{name: CHANGES[name]})
    assert read(written(to_toml(after))) == after != before
    assert after.digest != before.digest
    found = list(differences(before, after))
    assert found
    for difference in found:
        assert difference.startswith(f"{name} ")
        assert difference.count(" there, ") == 1


def test_which_entrant_is_the_first_tells_it_too():
    """The seconds of the others follow the first one's."""
    before, after = small_plan(), small_plan(entrants=dict(reversed(ENTRANTS.items())))
    assert before.digest != after.digest
    assert list(differences(before, after)) == ['first entrant "uniform" there, "ones" here']


def test_a_difference_is_not_longer_than_a_line():
    long = small_plan(entrants={f"d_ff {n}": {"d_ff": n} for n in range(1, 99)})
    (*_, difference) = (line for line in differences(small_plan(), long) if line.startswith("entrants"))
    assert len(difference) < 250


# --- what it refuses


GOOD = {"texts": ["a.txt"], "entrants": {"one": {"heads": "uniform"}, "two": {"heads": "ones"}}}
TWO_AT_LEAST = (
    "f: a race needs at least two entrants: name several layouts, like --layouts uniform,exponential, or "
    "several values of another option of `microgpt train`"
)
UNEQUAL = "f: entrants are judged by the same text, so --val-fraction must be the same for all of them"
WRONG = [
    # types
    ({"texts": "a.txt"}, "f: texts = 'a.txt' should be a list of texts in quotes"),
    ({"texts": [1]}, "f: texts = [1] should be a list of texts in quotes"),
    ({"characters": ["x"]}, "f: characters = ['x'] should be a list of whole numbers"),
    ({"seeds": "40"}, "f: seeds = '40' should be a whole number"),
    ({"seeds": True}, "f: seeds = True should be a whole number"),
    ({"epochs": "1"}, "f: epochs = '1' should be a number"),
    ({"equal_seconds": 1}, "f: equal_seconds = 1 should be true or false"),
    ({"options": 1}, "f: options = 1 should be a table"),
    ({"entrants": ["a", "b"]}, "f: entrants = ['a', 'b'] should be a table"),
    ({"entrants": {"a": 3, "b": {}}}, "f, 'a' should be a table of options"),
    ({"conditions": {"short": 32}}, "f, 'short' should be a table of options"),
    ({"options": {"d_model": "64"}}, "f: d_model = '64' should be a whole number"),
    # names
    ({"equal-second": True}, "f: unknown key 'equal-second'; did you mean 'equal_seconds'?"),
    ({"entrant": {}}, "f: unknown key 'entrant'; did you mean 'entrants'?"),
    ({"options": {"head": "ones"}}, "f: unknown key 'head'; did you mean 'heads'?"),
    ({"options": {"n_embd": 3}}, "f: unknown key 'n_embd'; here it is 'd_model'"),
    ({"conditions": {"x": {"dropout": 0.1}}}, "f, 'x': unknown key 'dropout'; there is none here"),
    (
        {"entrants": {"a": {}, "b\n": {"heads": "ones"}}},
        "f: 'b\\n' cannot be the name of an entrant or a condition",
    ),
    (
        {"entrants": {"a": {}, " ": {"heads": "ones"}}},
        "f: ' ' cannot be the name of an entrant or a condition",
    ),
    ({"conditions": {"": {}}}, "f: '' cannot be the name of an entrant or a condition"),
    (
        {"texts": ["b.txt", "b, x.txt"], "conditions": {"x": {}, "x, x": {}}},
        "f: two conditions would be called 'b, x, x': give one another name",
    ),
    # what a race decides itself
    *(
        ({"options": {name: value}}, f"f: leave {name.replace('_', '-')} away: {DECIDED_HERE[name]}")
        for name, value in {
            "file": "x", "seed": 1, "out": "x", "threads": 2, "eval_every": 5, "sample_every": 5,
            "snapshots": 5, "weights": "x",
        }.items()
    ),
    ({"entrants": {"a": {}, "b": {"seed": 3}}}, f"f, 'b': leave seed away: {DECIDED_HERE['seed']}"),
    # texts
    ({"texts": []}, "f: a race needs a text: microgpt race FILE --layouts uniform,exponential"),
    ({"texts": ["a", "b", "a"]}, "f: a race names each text once"),
    ({"texts": ["-"]}, "f: a race needs its texts in files, which each of its processes reads"),
    ({"sha256": ["x", "y"]}, "f: a plan has one of sha256 and of characters for each text, or none"),
    ({"characters": [7, 7]}, "f: a plan has one of sha256 and of characters for each text, or none"),
    # entrants
    ({"entrants": {}}, TWO_AT_LEAST),
    ({"entrants": {"one": {"heads": "uniform"}}}, TWO_AT_LEAST),
    ({"entrants": {"a": {"heads": "4x16"}, "b": {}}}, "f: the entrants a and b are the same"),
    (
        {"entrants": {"a": {"d_ff": 64}, "b": {"memory_cap": "1GiB"}}},
        "f: the entrants a and b are the same",
    ),
    ({"entrants": {"a": {}, "b": {"val_fraction": 0.2}}}, UNEQUAL),
    # conditions
    ({"conditions": {"a": {}, "b": {"d_model": 64}}}, "f: the conditions a and b are the same"),
    (
        {"conditions": {"prime heads": {"heads": "prime"}}},
        "f: heads is an option of the condition prime heads and of the entrant one: leave one of them away",
    ),
    # numbers
    ({"seeds": 0}, "f: --seeds must be between 1 and 100000, not 0"),
    ({"seeds": 10**30}, f"f: --seeds must be between 1 and 100000, not 1{'0' * 30}"),
    ({"tuning_seeds": -1}, "f: --tuning-seeds must be between 0 and 100000, not -1"),
    ({"rates": 0}, "f: --rates must be between 1 and 25, not 0"),
    ({"rates": 26}, "f: --rates must be between 1 and 25, not 26"),
    ({"epochs": float("nan")}, "f: --epochs must be between 1e-06 and 1e+12, not nan"),
    ({"epochs": float("inf")}, "f: --epochs must be between 1e-06 and 1e+12, not inf"),
    ({"epochs": -1}, "f: --epochs must be between 1e-06 and 1e+12, not -1.0"),
    ({"smallest_difference": 0}, "f: --smallest-difference must be between 1e-06 and 1e+12, not 0.0"),
    # options
    (
        {"options": {"val_fraction": 0}},
        "f: a race judges by text that was held out: --val-fraction must be above 0",
    ),
    (
        {"options": {"min_lr": 0.001}},
        "f: a race tries several rates, and --min-lr above 0 goes with one: leave it away, or give --lr too",
    ),
    ({"options": {"seq_len": 0}}, "f: --seq-len must be at least 1, not 0"),
    (
        {"conditions": {"narrow": {"d_model": 30}}},
        "f: the uniform head layout needs a d_model that is a multiple of 16, which 30 is not; the nearest "
        "that work are 16 and 32",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG, ids=str)
def test_what_is_no_plan_is_named_in_a_sentence_with_its_file(change, message, written):
    path = written(tomli_w.dumps(GOOD | change))
    assert error_of(read, path) == message.replace("f", str(path), 1)


@pytest.mark.parametrize(
    "content",
    [b"texts = [", b"\xff\xfe", b"seeds = 1" + b"0" * 5000, b"a = " + b"[" * 9**5, b'texts = ["a"]\n' * 2],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_toml_is_named(content, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_bytes(content)
    assert error_of(read, path).startswith(f"{path} is not valid TOML: ")


def test_a_plan_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "plan.toml"
    assert error_of(read, path) == f"there is no plan {path}"
    path.mkdir()
    assert error_of(read, path) == f"cannot read the plan {path}: Is a directory"


def test_a_rate_that_falls_to_0_goes_with_every_rate():
    assert plan_of(GOOD | {"options": {"min_lr": 0.0, "schedule": "cosine"}}, "f")
    assert plan_of(GOOD | {"options": {"min_lr": 0.001, "lr": 0.01}}, "f")


def test_steps_that_are_open_are_others_than_those_that_are_given():
    """Those of an epoch are not known before the text is read."""
    steps = {"steps": TrainConfig("x").steps}
    assert plan_of(GOOD | {"entrants": {"an epoch": {}, "some": steps}}, "f")
    assert plan_of(GOOD | {"conditions": {"an epoch": {}, "some": steps}}, "f")


def test_an_entrant_whose_rate_is_chosen_is_another_one_than_with_a_given_rate():
    rule = TrainConfig("x").rates.lr
    assert plan_of(GOOD | {"entrants": {"rule": {"lr": rule}, "best": {}}}, "f")


# --- what it decides


def test_options_go_from_the_plan_over_the_condition_to_the_entrant():
    plan = small_plan(
        options={"d_ff": 7, "seq_len": 32, "d_model": 32},
        conditions={"short": {"seq_len": 8}, "long": {}},
        entrants={"a": {"d_ff": 8}, "b": {}},
    )
    found = {
        (condition.name, name): (config.seq_len, config.d_ff)
        for condition in plan.places()
        for name in plan.entrants
        for config in [plan.config(condition, name)]
    }
    assert found == {
        ("short", "a"): (8, 8),
        ("short", "b"): (8, 7),
        ("long", "a"): (32, 8),
        ("long", "b"): (32, 7),
    }
    config = plan.config(plan.places()[0], "a", lr=0.5, seed=3)
    assert (config.lr, config.seed, config.file, config.threads) == (0.5, 3, "poem.txt", 1)
    assert config.val_fraction == HELD_OUT


@pytest.mark.parametrize("epochs", [0.001, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("options", [{}, {"stride": 3}, {"batch_size": 5}, {"val_fraction": 0.3}], ids=str)
def test_epochs_are_of_the_text_that_is_trained_on(epochs, options):
    plan = small_plan(epochs=epochs, options={"seq_len": 8, "d_model": 32, **options})
    config = plan.config(plan.places()[0], "ones")
    train, _ = split(np.zeros(1000, np.uint8), config.val_fraction)
    walk = Walk(len(train), 8, config.stride or 8, config.batch_size)
    assert config.steps == max(1, round(epochs * walk.steps_per_epoch))


def test_steps_that_are_given_are_kept():
    assert small_plan(epochs=9.0).config(small_plan().places()[0], "ones").steps == 20


@pytest.mark.parametrize(
    ("texts", "conditions", "names"),
    [
        (("a/poem.txt",), {}, ["poem"]),
        (("a/poem.txt",), {"x": {}}, ["x"]),
        (("a/poem.txt", "prose"), {}, ["poem", "prose"]),
        (("a/poem.txt", "b/poem.txt"), {}, ["a/poem.txt", "b/poem.txt"]),
        (("poem.txt", "prose"), {"x": {}, "y": {"d_ff": 7}}, ["poem, x", "poem, y", "prose, x", "prose, y"]),
    ],
)
def test_conditions_are_named_by_what_tells_them_apart(texts, conditions, names):
    plan = Plan(texts, entrants=ENTRANTS, conditions=conditions)
    assert [condition.name for condition in plan.places()] == names


def test_a_rate_that_is_given_is_not_looked_for():
    plan = small_plan(entrants={"a": {"lr": 0.1}, "b": {}})
    (condition,) = plan.places()
    assert [plan.is_tuned(condition, name) for name in "ab"] == [False, True]
    fixed = dataclasses.replace(plan, tuning_seeds=0)
    assert [fixed.is_tuned(condition, name) for name in "ab"] == [False, False]
    plan = small_plan(conditions={"x": {"lr": 0.2}, "y": {}})
    assert [plan.is_tuned(condition, "ones") for condition in plan.places()] == [False, True]
