"""benchmarks/head_roles.py: its arithmetic where the answer is known, runs that are kept, and its tables."""

import json

import numpy as np
import pytest
import typer
from scipy import stats
from test_rooms import ROOT
from typer.testing import CliRunner

from benchmarks import head_roles
from benchmarks.head_roles import MEASURES, adjusted_p, interval, most, of_widths, run_of, uniform_induction

HEADS, WIDTHS = ["1.1", "1.2", "1.3", "2.1", "2.2"], [1, 1, 6, 4, 4]


def made_up(seq_len=32, seed=1, steps=5, **measures):
    """A run in which every head has 0 of everything but of what is given."""
    zeros = {name: [0.0] * len(HEADS) for name in MEASURES}
    uniform = {"previous": 0.1, "induction": 0.04, "reach": 8.0}
    return {
        "text": "my.txt", "seq_len": seq_len, "seed": seed, "steps": steps, "loss": 2.5, "gain": 1.0,
        "gini": 0.25, "uniform": uniform, "heads": HEADS, "widths": WIDTHS, **zeros, **measures,
    }  # fmt: skip


def test_intervals_are_those_of_students_t():
    values = np.random.default_rng(0).normal(3, 2, (10, 3))
    mean, half = interval(values)
    low, high = stats.t.interval(0.95, 9, loc=values.mean(axis=0), scale=stats.sem(values))
    assert np.allclose([mean - half, mean + half], [low, high])
    assert np.isnan(interval(values[:1])[1]).all(), "one run says nothing about others"


def test_what_widths_have_of_columns_and_bits():
    runs = [made_up(Shapley=[0.1, 0.2, 0.3, 0.4, 0.0]), made_up(Shapley=[0.0, 0.0, 1.0, -0.5, 1.5])]
    widths, columns, parts = of_widths(runs)
    assert widths == [1, 4, 6]
    assert columns == pytest.approx([2 / 16, 8 / 16, 6 / 16])
    assert parts == pytest.approx(np.array([[0.3, 0.4, 0.3], [0.0, 0.5, 0.5]]))
    assert most(runs, "Shapley") == [3, 4]


def test_p_is_that_of_pairs_and_grows_with_the_number_of_rows():
    one, other = np.random.default_rng(0).normal(0, 1, (2, 10, 3)) + np.array([0, 1, 2])
    other += 0.6
    p = adjusted_p(other - one)
    assert p == pytest.approx(np.minimum(1, 3 * stats.ttest_rel(one, other).pvalue))
    assert 0 < p.min() < 1
    assert np.isnan(adjusted_p(np.ones((5, 1)))).all()


@pytest.mark.parametrize("T", [8, 32])
def test_the_induction_score_of_a_head_that_looks_at_everything_equally(T):
    attention = np.tril(np.ones((T, T))) / np.arange(1, T + 1)[:, None]
    t = np.arange(T // 2, T)
    assert uniform_induction(T) == pytest.approx(attention[t, t - T // 2 + 1].mean())


def test_a_run_keeps_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(head_roles, "LAYOUT", "48+16")
    monkeypatch.setattr(head_roles, "CHARACTERS", 120)
    text = tmp_path / "my.txt"
    text.write_text("".join(np.random.default_rng(0).choice(list("abcdef\n"), 2000)))
    run = json.loads(json.dumps(run_of(text, seq_len=32, seed=1, steps=2)))
    assert (run["heads"], run["widths"]) == (["1.1", "1.2", "2.1", "2.2"], [48, 16, 48, 16])
    assert sum(run["Shapley"]) == pytest.approx(run["gain"], abs=1e-6)
    assert np.allclose(np.divide(run["Shapley"], run["widths"]), run["bits per column"])
    assert all(len(run[name]) == 4 for name in MEASURES)
    # a model that has hardly been trained still looks at everything nearly equally
    for name, value in run["uniform"].items():
        assert run[name] == pytest.approx([value] * 4, rel=0.5), name


@pytest.fixture
def counted(monkeypatch):
    """The runs that were really made, as (T, seed, steps); of wider heads the first one is worth more."""
    made = []

    def run(text, seq_len, seed, steps):
        made.append((seq_len, seed, steps))
        return made_up(seq_len, seed, steps, Shapley=[0.0, 0.0, 0.5, 0.25 * (seq_len == 32), 0.25])

    monkeypatch.setattr(head_roles, "run_of", run)
    return made


@pytest.fixture
def command():
    app = typer.Typer()
    app.command()(head_roles.main)
    return lambda *arguments: CliRunner().invoke(app, ["my.txt", *arguments])


def test_runs_take_turns_and_are_not_made_twice(tmp_path, counted, command):
    options = ("--steps", "5", "--runs", str(tmp_path / "runs.jsonl"))
    assert command("--seeds", "2", *options).exit_code == 0
    assert counted == [(32, 1, 5), (128, 1, 5), (32, 2, 5), (128, 2, 5)]
    result = command("--seeds", "3", "--json", *options)
    assert counted[4:] == [(32, 3, 5), (128, 3, 5)]
    runs = json.loads(result.stdout)
    assert [(run["seq_len"], run["seed"]) for run in runs] == [(T, s) for T in (32, 128) for s in (1, 2, 3)]
    command("--seeds", "2", *options, "--steps", "6")
    assert len(counted) == 10, "runs of another length are other runs"


def test_the_tables_answer_the_questions(counted, command):
    result = command("--seeds", "2")
    assert result.exit_code == 0, result.output
    tables = [block.splitlines() for block in result.stdout.split("\n\n") if block.startswith("|")]
    shares, *_, found = ([row[2:-2].split(" | ") for row in rows[2:]] for rows in tables)
    assert shares == [
        ["1", "12.5", "0.0 ± 0.0", "0.0 ± 0.0", "0.0 ± 0.0", ""],
        ["4", "50.0", "50.0 ± 0.0", "33.3 ± 0.0", "-16.7 ± 0.0", ""],
        ["6", "37.5", "50.0 ± 0.0", "66.7 ± 0.0", "16.7 ± 0.0", ""],
        ["all of layer 1", "50.0", "50.0 ± 0.0", "66.7 ± 0.0", "16.7 ± 0.0", ""],
    ]
    assert found[0] == ["Shapley", "1.3 (width 6): 2", "0.500 ± 0.000"]


@pytest.mark.parametrize("wrong", ["", "32,", "x", "0", "48"])
def test_a_context_must_divide_what_a_step_reads(counted, command, wrong):
    result = command("--seq-len", wrong)
    assert result.exit_code == 2
    assert "--seq-len takes divisors of 1,024 with commas between them" in result.stderr
    assert counted == []


def test_the_tables_of_the_page_are_those_of_its_runs(tmp_path, counted):
    runs = tmp_path / "runs.jsonl"
    runs.write_bytes((ROOT / "docs" / "xray" / "runs.jsonl").read_bytes())
    app = typer.Typer()
    app.command()(head_roles.main)
    result = CliRunner().invoke(app, ["tinyshakespeare.txt", "--runs", str(runs)])
    assert counted == [], "all runs are there"
    page = (ROOT / "docs" / "xray.md").read_text(encoding="utf-8").splitlines()
    rows = [row for row in result.stdout.splitlines() if row.startswith("|") and "---" not in row]
    assert len(rows) > 70
    assert [row for row in rows if row not in page] == []
