"""Configurations that check themselves, their TOML form, and the rate of each step."""

import dataclasses
import itertools
import math
import time
import tracemalloc
from pathlib import Path

import pytest

from microgpt.config import HINTS, TrainConfig, parse_size, read_toml, to_toml
from microgpt.errors import MicrogptError, shown
from microgpt.model.heads import parse_layout

DEFAULT = TrainConfig(file="text.txt")
# options, and all that the error says
WRONG = [
    *(
        ({name: value}, f"--{name.replace('_', '-')} must be at least 1, not {value}")
        for name in ("steps", "seq_len", "batch_size", "d_model", "n_layers", "stride", "d_ff", "threads")
        for value in (0, -3)
    ),
    ({"eval_every": 0, "val_fraction": 0.1}, "--eval-every must be at least 1, not 0"),
    ({"sample_every": 0}, "--sample-every must be at least 1, not 0"),
    ({"snapshots": 1}, "--snapshots must be at least 2, not 1"),
    ({"ngrams": -1}, "--ngrams must be at least 0, not -1"),
    ({"ngrams": 17}, "--ngrams can be at most 16, not 17"),
    ({"warmup": -1}, "--warmup must be at least 0, not -1"),
    ({"seed": -1}, "--seed must be at least 0, not -1"),
    (
        {"backend": "cristal"},
        "--backend 'cristal' is none of crystal, openblas, cublas, cublas-tf32, reference; "
        "did you mean 'crystal'?",
    ),
    ({"order": "zzz"}, "--order 'zzz' is none of sequential, shuffled"),
    ({"positions": "Rope"}, "--positions 'Rope' is none of learned, rope, none; did you mean 'rope'?"),
    ({"schedule": "cosin"}, "--schedule 'cosin' is none of constant, cosine, linear; did you mean 'cosine'?"),
    ({"dtype": "float16"}, "--dtype 'float16' is none of float32, float64; did you mean 'float64'?"),
    ({"lr": -0.1}, "--lr must be at least 0 and below 1e+06, not -0.1"),
    ({"lr": math.inf}, "--lr must be at least 0 and below 1e+06, not inf"),
    ({"lr": math.nan}, "--lr must be at least 0 and below 1e+06, not nan"),
    ({"min_lr": -1.0}, "--min-lr must be at least 0 and below 1e+06, not -1"),
    ({"min_lr": 0.1, "lr": 0.0003}, "--min-lr 0.1 is above --lr 0.0003"),
    ({"min_lr": 0.1}, "--min-lr 0.1 is above --lr 0.00707107"),
    ({"init": "tiny"}, "--init 'tiny' is none of large, small"),
    ({"activation": "relu3"}, "--activation 'relu3' is none of relu2, relu; did you mean 'relu'?"),
    ({"attention_scale": "lin"}, "--attention-scale 'lin' is none of sqrt, linear; did you mean 'linear'?"),
    ({"beta2": 1.0}, "--beta2 must be at least 0 and below 1, not 1"),
    ({"clip": -1.0}, "--clip must be at least 0 and below 1e+30, not -1"),
    ({"clip": math.inf}, "--clip must be at least 0 and below 1e+30, not inf"),
    ({"weight_decay": 1e7}, "--weight-decay must be at least 0 and below 1e+06, not 1e+07"),
    ({"val_fraction": 1.0}, "--val-fraction must be at least 0 and below 1, not 1"),
    ({"stride": 129}, "--stride 129 would skip characters: it can be at most --seq-len, 128"),
    ({"eval_every": 5}, "--eval-every needs a text to evaluate on: add --val-fraction 0.1"),
    ({"memory_cap": "lots"}, "--memory-cap 'lots' is not a size; write it like 2GiB, 500MB, or none"),
    ({"n_layers": 1 << 31}, "--n-layers can be at most 1000, not 2147483648"),
    ({"batch_size": 10**30}, "--batch-size can be at most 1048576, not 1000000000000000000000000000000"),
    ({"seed": 10**5000}, "--seed can be at most 9223372036854775807, not of type int, too long to show"),
    ({"order": "z" * 5000}, f"--order '{'z' * 56}... is none of sequential, shuffled"),
    (
        {"memory_cap": "9" * 5000},
        f"--memory-cap '{'9' * 56}... is not a size; write it like 2GiB, 500MB, or none",
    ),
    (
        {"out": "a\0b"},
        "the name 'a\\x00b' cannot be used: it holds a null character, or bytes that are not UTF-8",
    ),
    (
        {"file": "caf\udce9.txt"},
        "the name 'caf\\udce9.txt' cannot be used: it holds a null character, or bytes that are not UTF-8",
    ),
    ({"heads": "8+8"}, "the widths 8+8 sum to 16, but d_model is 64"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=shown)
def test_a_wrong_option_is_named_with_what_would_work(options, message):
    with pytest.raises(MicrogptError) as caught:
        TrainConfig(**{"file": "text.txt", **options})
    assert str(caught.value) == message


def test_absurd_sizes_are_refused_at_once_and_without_memory():
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        for options in (
            {"n_layers": 2**31},
            {"d_model": 2**31, "heads": "ones"},
            {"heads": "ones|" * 10_000 + "ones"},
            {
                "d_model": 65536,
                "n_layers": 1000,
                "heads": "|".join(f"{n}x1+{65536 - n}" for n in range(64536, 65536)),
            },
        ):
            with pytest.raises(MicrogptError):
                TrainConfig(file="x", **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20
    assert time.perf_counter() - begin < 2
    # layers that are equal are one tuple, however many there are
    layers = parse_layout("|".join(["65536x1", "ones"] * 500), 65536, 1000)
    assert len({id(widths) for widths in layers}) == 2


def test_resolved_writes_every_dependent_default_out():
    config = TrainConfig(file="a/poem.txt", heads="16+48", seq_len=9, lr=1.0, n_layers=3).resolved()
    assert (config.heads, config.stride, config.d_ff) == ("16+48", 9, 64)
    assert config.rates == (config.lr, config.min_lr, config.warmup, config.beta2) == (1.0, 0.0, 100, 0.99)
    assert config.out == "runs/poem"
    assert config.resolved() == config
    given = TrainConfig(file="x", stride=3, d_ff=5, min_lr=0.0, out="here").resolved()
    assert (given.stride, given.d_ff, given.min_lr, given.out) == (3, 5, 0.0, "here")
    assert TrainConfig(file="x", heads="prime").resolved().architecture(7) == TrainConfig(
        file="x", heads="prime"
    ).architecture(7)


# --- TOML


FULL = TrainConfig(
    file='a "strange"\\name é\n.txt',
    heads="4x16|64",
    eval_every=7,
    sample_every=8,
    snapshots=60,
    val_fraction=0.25,
    threads=2,
    schedule="cosine",
    warmup=3,
)


@pytest.mark.parametrize("config", [DEFAULT, DEFAULT.resolved(), FULL, FULL.resolved()], ids=str)
def test_a_configuration_comes_back_from_toml_without_its_directory(config, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert TrainConfig(**read_toml(path)) == dataclasses.replace(config, out=None)


def test_what_was_left_open_still_follows_what_it_depends_on(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(DEFAULT))
    for line in ("# stride = 128", "# d_ff = 64", "# lr = 0.00707107", "# min_lr = 0", "# warmup = 100"):
        assert line in path.read_text().splitlines()
    for changes in (
        {"seq_len": 8},
        {"lr": 1e-6},
        {"d_model": 32},
        {"batch_size": 64, "steps": 90},
        {"schedule": "cosine"},
    ):
        assert (
            TrainConfig(**(read_toml(path) | changes)).resolved()
            == TrainConfig("text.txt", **changes).resolved()
        )


def test_the_directory_of_an_old_run_is_no_other_runs(tmp_path, monkeypatch):
    """Version 0.1 wrote it into config.toml; whoever writes one into a file of their own means it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    path = Path("runs/a/config.toml")
    for place in (path, path.absolute()):
        path.write_text('file = "x"\nout = "runs/a"')
        assert read_toml(place) == {"file": "x"}
        path.write_text('file = "x"\nout = "runs/b"')
        assert read_toml(place) == {"file": "x", "out": "runs/b"}


def test_hints_name_options_that_there_are():
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    assert not names & HINTS.keys()
    for hint in HINTS.values():
        assert hint == "there is none here" or hint.split("'")[1] in names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step = 5", "unknown key 'step'; did you mean 'steps'?"),
        ("learning_rate = 5", "unknown key 'learning_rate'; here it is 'lr'"),
        ("Block-Size = 5", "unknown key 'Block-Size'; here it is 'seq_len'"),
        ("dropout = 0.1", "unknown key 'dropout'; there is none here"),
        ("colour = 5", "unknown key 'colour'; there are file, steps, heads,"),
        (f"{'k' * 3000} = 5", f"unknown key '{'k' * 56}...; there are file, steps, heads,"),
        ("[train]\nsteps = 5", "unknown key 'train'"),
        ("steps = 5.0", "steps = 5.0 should be a whole number"),
        ("steps = true", "steps = True should be a whole number"),
        ("lr = true", "lr = True should be a number"),
        ("token_shift = 1", "token_shift = 1 should be true or false"),
        ("lr = '1'", "lr = '1' should be a number"),
        ("d-ff = 'wide'", "d-ff = 'wide' should be a whole number"),
        ("heads = [16, 48]", "heads = [16, 48] should be text in quotes"),
        ("heads = [" + "16, " * 3000 + "]", "heads = [16, 16, "),
        ("lr = 1" + "0" * 400, "lr = 1000000"),
        ("seed = " + "9" * 5000, "is not valid TOML: Exceeds the limit"),
        ("x = " + "[" * 5000 + "]" * 5000, "is not valid TOML: its brackets are nested too deep"),
        ('heads = "\\ud800"', "is not valid TOML"),
        ("steps = ", "is not valid TOML: Invalid value"),
        ("steps = 1\nsteps = 2", "is not valid TOML: Cannot overwrite a value"),
    ],
)
def test_toml_that_cannot_be_meant(text, message, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(MicrogptError) as caught:
        read_toml(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


def test_toml_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"file = 'caf\xe9'")
    for name, message in (
        ("nope.toml", "there is no configuration file"),
        (".", "cannot read the configuration"),
        ("latin.toml", "is not valid TOML: 'utf-8' codec can't decode byte 0xe9"),
    ):
        with pytest.raises(MicrogptError, match=message):
            read_toml(tmp_path / name)


# --- sizes and rates


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GiB", 2 << 30),
        ("500 MB", 500_000_000),
        ("1e9", 10**9),
        ("1.5k", 1500),
        (" 10 kib ", 10240),
        ("64", 64),
        ("7b", 7),
        ("0", None),
        ("None", None),
    ],
)
def test_sizes_in_words(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "-1", "1.2.3", "2 XiB", "GiB", "0.0", "1e400", "12 34", "1e15TB", "nan"]
)
def test_what_is_no_size(text):
    with pytest.raises(MicrogptError, match="write it like 2GiB, 500MB, or none"):
        parse_size(text)


def rates(**options):
    config = TrainConfig(file="x", **options)
    return [config.learning_rate(step) for step in range(config.steps + 3)]


def test_the_constant_rate_warms_up_in_equal_steps():
    assert rates(steps=5, lr=0.5, schedule="constant") == [0.5] * 8
    assert rates(steps=5, lr=0.5, schedule="constant", warmup=4) == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5]
    )


def test_the_cosine_falls_from_the_rate_to_its_lowest():
    values = rates(steps=8, lr=1.0, min_lr=0.2, schedule="cosine", warmup=0)
    assert values[0] == 1.0
    assert values[4] == pytest.approx(0.6)  # half way in time is half way in value
    assert values[8:] == [0.2] * 3  # a run that goes on longer stays there
    assert all(before > after for before, after in itertools.pairwise(values[:9]))
    warm = rates(steps=8, lr=1.0, schedule="cosine", warmup=4)
    assert warm[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.1 + 0.45 * (1 + math.cos(math.pi / 4))])
    assert warm[8] == pytest.approx(0.1)  # a tenth unless told otherwise
    assert rates(steps=3, lr=1.0, schedule="cosine", warmup=3)[2:] == pytest.approx([0.75, 1.0, 0.1, 0.1])
    assert rates(steps=2, lr=1.0, schedule="cosine", warmup=9)[:3] == pytest.approx([0.1, 0.2, 0.3])


def test_the_straight_line_falls_to_nothing_unless_told_otherwise():
    assert rates(steps=4, lr=1.0) == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0])
    assert rates(steps=4, lr=1.0, min_lr=0.2)[2:] == pytest.approx([0.6, 0.4, 0.2, 0.2, 0.2])
    warm = rates(steps=6, lr=1.0, warmup=2)
    assert warm == pytest.approx([1 / 3, 2 / 3, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0])


def test_a_run_keeps_the_rates_that_it_has_taken():
    """Its steps, or the rules of another version, may change them for a new one."""
    settled = TrainConfig("x", steps=300, batch_size=4, schedule="cosine").settled()
    assert settled.rates == (settled.lr, 0.0005, settled.warmup, settled.beta2) == (0.005, 0.0005, 30, 0.99)
    assert dataclasses.replace(settled, steps=5000, batch_size=1).rates == settled.rates
    assert settled.reopened() == TrainConfig("x", steps=300, batch_size=4, schedule="cosine")
    given = dataclasses.replace(settled, warmup=31, lr=0.004)
    assert given.reopened() == dataclasses.replace(given, beta2=None)
    assert settled.resolved() == TrainConfig("x", steps=300, batch_size=4, schedule="cosine").resolved()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("activation", ("relu", "relu2")),
        ("token_shift", (False, True)),
        ("attention_scale", ("sqrt", "linear")),
    ],
)
def test_the_configuration_of_an_earlier_run_is_without_what_came_later(tmp_path, name, values):
    old = Path(__file__).parent / "data" / "relu" / "config.toml"
    assert name not in old.read_text()
    config = TrainConfig(**read_toml(old))
    assert (getattr(config, name), config.init, config.beta2) == (values[0], "large", None)
    again = tmp_path / "config.toml"
    for value in values:
        again.write_text(to_toml(dataclasses.replace(config, **{name: value})))
        assert getattr(TrainConfig(**read_toml(again)), name) == value
    again.write_text('positions = "rope"\nschedule = "constant"')
    assert name not in read_toml(again)


@pytest.mark.parametrize("run", ["learned", "rope"])
def test_the_configuration_of_an_old_run_has_the_initial_values_of_then(run, tmp_path):
    old = Path(__file__).parent / "data" / run / "config.toml"
    assert "init" not in old.read_text()
    config = TrainConfig(**read_toml(old))
    assert (config.init, config.activation, config.token_shift) == ("small", "relu", False)
    assert config.attention_scale == "sqrt"
    assert config.min_lr is None
    assert config.rates.min_lr == config.lr / 10
    again = tmp_path / "config.toml"
    again.write_text(to_toml(config))
    assert TrainConfig(**read_toml(again)) == config
    again.write_text('lr = 0.001\nschedule = "constant"\nwarmup = 5')
    assert "init" not in read_toml(again)
