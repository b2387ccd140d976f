"""What a race shows: tables, sentences, and how far it is."""

import io
import json
import math
import re

import numpy as np
import pytest
from made_up_races import ENTRANTS, held, same_seconds, small_plan
from rich.console import Console

from microgpt.race import show
from microgpt.race.race import Race
from microgpt.race.report import report
from microgpt.race.results import RESULTS_FILE, Results
from microgpt.race.runs import entries
from microgpt.race.show import Scoreboard, as_rich, as_text, estimate, print_report, verdict, warnings
from microgpt.race.worker import Timing

THREE = {**ENTRANTS, "exponential": {"heads": "exponential"}}
BETTER = {"uniform": 0.0, "ones": 0.05, "exponential": 0.05}
HEADER = ["", "rate", "bits/char"]
ROWS = [["uniform", "0.01", "2.5000"], ["ones", "0.0025", "12.5000"]]


def loss(run):
    config = run.config
    noise = 0.001 * math.sin(99 * config.seed + len(run.entrant))
    return 2.5 - BETTER[run.entrant] + noise + 0.1 * abs(math.log(config.lr / 0.00707))


@pytest.fixture
def race_of(tmp_path):
    """A race in a directory, and its report."""

    def made(plan, loss=loss, seconds=None, **how):
        seconds = seconds or same_seconds(plan)
        rows = held(plan, loss, seconds, **how)
        lines = [json.dumps(row) + "\n" for row in rows.values()]
        (tmp_path / RESULTS_FILE).write_text("".join(lines))
        timings = {
            condition: {name: Timing(step, 1000, 0.5, 2**20) for name, step in each.items()}
            for condition, each in seconds.items()
        }
        race = Race(tmp_path, plan, Results(tmp_path), timings, entries(plan))
        return race, report(plan, race.results.rows, race.results.bits, race.seconds, {})

    return made


@pytest.fixture
def terminal(monkeypatch):
    """Standard output becomes a terminal of this width."""

    def of_width(width):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")

    return of_width


def rich_lines(table, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(table)
    return console.file.getvalue().splitlines()


# --- tables


def test_a_table_for_files_has_aligned_columns():
    assert as_text(HEADER, ROWS).splitlines() == [
        "           rate  bits/char",
        "uniform    0.01     2.5000",
        "ones     0.0025    12.5000",
    ]
    assert as_text(HEADER, []) == "  rate  bits/char"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_for_terminals_breaks_names_and_no_figures(width):
    name = "ones | 2x8+48 d-ff 64 no-token-shift and then some more words"
    lines = rich_lines(as_rich(HEADER, [[name, "0.0025", "12.5000"]], "a title"), width)
    assert max(map(len, lines)) <= width
    assert lines[0].strip() == "a title"
    words = " ".join(lines).split()
    assert {"0.0025", "12.5000", "bits/char", "2x8+48", "words"} <= set(words)


def test_names_are_shown_as_they_are():
    """Square brackets and colons have a meaning for what draws the table."""
    text = "\n".join(rich_lines(as_rich(HEADER, [["[bold]:smile:", "1", "2"]], "[red] :smile: [/x]"), 80))
    assert "[bold]:smile:" in text
    assert "[red] :smile: [/x]" in text


# --- the report


def test_a_report_has_the_sentences_and_the_figures(race_of, capsys):
    race, found = race_of(small_plan(seeds=12))
    print_report(found, race)
    text = capsys.readouterr().out
    judgement = found.findings[0].equal_steps
    uniform, ones = judgement.verdict.standings
    (pair,) = judgement.verdict.pairs
    assert "poem: bits per character of the held-out text" in text
    assert "With equal steps, 12 seeds: ones is better than uniform." in text
    assert "With the seconds of uniform, 12 seeds: ones is better than uniform." in text
    rate = f"{race.entries[0].open.rates.lr:.2g}"
    standing = re.compile(
        rf"^ones +{rate} +20 +0\.02 +{ones.mean:.4f} +{ones.interval.low:.4f} to {ones.interval.high:.4f}$",
        re.M,
    )
    assert standing.search(text)
    assert f"{uniform.mean:.4f}" in text
    low, high = -pair.interval.high, -pair.interval.low
    assert f"ones - uniform     -{pair.difference:.4f}  {low:.4f} to {high:.4f}" in text
    assert low < high < 0
    assert f"{pair.adjusted_p:.4f}  first is better" in text
    assert text.index("\nones ") < text.index("\nuniform "), "the best one comes first"
    assert f"to find a difference of 0.005 in every pair: {pair.seeds_needed:,} seeds" in text
    correlation = np.corrcoef(judgement.losses)[0, 1]
    assert f"correlation of the losses with the same seeds: {correlation:.2f}\n" in text


def test_the_seconds_of_a_run_are_those_of_its_steps(race_of, capsys):
    plan = small_plan(tuning_seeds=0)
    race, found = race_of(plan, seconds=same_seconds(plan, uniform=0.1, ones=0.2))
    print_report(found, race)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    times = [line[2:4] for line in lines if line[:1] == ["ones"] and line[1] != "-"]
    assert times == [["20", "4"], ["10", "2"]]


def test_a_long_report_fits_the_terminal(race_of, terminal, capsys):
    plan = small_plan(
        entrants={f"{name} and a name of many words": options for name, options in THREE.items()},
        conditions={"[x]": {}, "short": {"seq_len": 4}},
    )
    race, found = race_of(plan, lambda run: 2 + run.config.seed / 7 + run.config.lr)
    assert any("the last one that was tried" in note for note in found.notes)
    terminal(80)
    print_report(found, race)
    text = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(map(len, text.splitlines())) <= 80
    assert "[x]: bits per character" in text
    for judgement in (finding.equal_steps for finding in found.findings):
        for standing in judgement.verdict.standings:
            assert f"{standing.mean:.4f}" in text


def test_a_race_that_has_only_begun_says_how_far_each_entrant_is(race_of, capsys):
    race, found = race_of(small_plan(), runs=5)
    print_report(found, race)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith(("uniform", "ones"))] == [
        ["uniform", "5", "of", "tuning"],
        ["ones", "0", "of", "tuning"],
    ]
    assert not any("With equal" in line for line in lines)


def test_an_entrant_whose_rate_is_known_shows_it(race_of, capsys):
    """While the other one has failed, so that there is nothing to compare."""
    plan = small_plan(equal_seconds=False)
    race, found = race_of(plan, lambda run: math.inf if run.entrant == "ones" else loss(run))
    print_report(found, race)
    text = capsys.readouterr().out
    (side, _) = found.findings[0].sides
    assert re.search(rf"^uniform +{side.lr:.2g} +8 of 8 +2\.50\d\d$", text, re.M)
    assert "poem: ones is not compared" in text


def sentence(race_of, loss, plan):
    _, found = race_of(plan, loss)
    return verdict(found.findings[0].equal_steps, plan.entrants)


@pytest.mark.parametrize(
    ("advantages", "expected"),
    [
        ({"uniform": 0.0, "ones": 0.0, "exponential": 0.0}, "no difference was found."),
        ({"uniform": 0.5, "ones": 0.0, "exponential": 0.2}, "uniform is better than every other one."),
        (
            {"uniform": 0.0, "ones": 0.5, "exponential": 0.5},
            "nothing was found to be better than (ones or exponential|exponential or ones).",
        ),
    ],
    ids=str,
)
def test_the_verdict_is_a_sentence(race_of, advantages, expected):
    def loss(run):
        seed = run.config.seed
        return 3 - advantages[run.entrant] + 0.01 * math.sin(seed * len(run.entrant)) + math.sin(seed)

    found = sentence(race_of, loss, small_plan(entrants=THREE, tuning_seeds=0, seeds=12))
    assert re.fullmatch(expected, found)


def test_without_a_winner_it_is_said_how_large_the_difference_can_be(race_of, capsys):
    def loss(run):
        return 2 + 0.01 * math.sin(run.config.seed * len(run.entrant))

    race, found = race_of(small_plan(tuning_seeds=0, equal_seconds=False, seeds=12), loss)
    print_report(found, race)
    (pair,) = found.findings[0].equal_steps.verdict.pairs
    assert pair.winner is None
    text = capsys.readouterr().out
    assert re.search(rf"within {pair.within:.4f}$", text, re.M)
    assert f"in every pair: {pair.seeds_needed:,} seeds" in text


def test_too_few_seeds_say_so(race_of, capsys):
    race, found = race_of(small_plan(tuning_seeds=0, equal_seconds=False, seeds=1))
    print_report(found, race)
    text = capsys.readouterr().out
    assert "With equal steps, 1 seed: no difference was found." in text
    assert re.search(r"^ones - uniform +-0\.04\d\d +1\.0000  too few seeds$", text, re.M)


# --- before the first run


def test_a_good_plan_needs_no_warning():
    assert list(warnings(small_plan(seeds=40))) == []
    assert list(warnings(small_plan(seeds=40, options={"steps": 2, "d_model": 32}))) == []


def test_too_few_seeds_are_warned_of():
    least = "with 4 seeds no difference can be found, however large: two entrants need at least --seeds 6"
    assert list(warnings(small_plan(seeds=4))) == [least]
    assert list(warnings(small_plan(seeds=5))) == [least.replace("4", "5")]
    (line,) = warnings(small_plan(seeds=6))
    assert line == (
        "with 6 seeds the intervals are narrower than they should be: from --seeds 20 on they can be trusted"
    )
    assert list(warnings(small_plan(seeds=20))) == []
    (line,) = warnings(small_plan(seeds=1, entrants=THREE))
    assert line == (
        "with 1 seed no difference can be found, however large: 3 pairs of entrants need at least --seeds 7"
    )


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({"schedule": "constant"}, "uniform, ones"),
        ({"schedule": "constant", "min_lr": 0.0}, "uniform, ones"),
        ({"schedule": "cosine"}, "uniform, ones"),
        ({"schedule": "cosine", "min_lr": 0.0}, None),
        ({"schedule": "linear", "min_lr": 0.001, "lr": 0.01}, "uniform, ones"),
        ({"schedule": "linear"}, None),
    ],
    ids=str,
)
def test_a_rate_that_does_not_go_to_0_is_warned_of_once(options, who):
    expected = (
        []
        if who is None
        else [
            f"the rate of {who} does not go to 0, and differences at such an end often vanish with the rate: "
            "--schedule linear lowers it to 0"
        ]
    )
    options = {"d_model": 32, "steps": 20, **options}
    plan = small_plan(seeds=20, options=options, conditions={"x": {}, "y": {"d_ff": 7}})
    assert list(warnings(plan)) == expected


def test_only_entrants_with_such_a_rate_are_named():
    plan = small_plan(seeds=20, entrants={"linear": {}, "cosine": {"schedule": "cosine"}})
    (line,) = warnings(plan)
    assert line.startswith("the rate of cosine does not go to 0")


def test_a_rate_that_only_some_entrants_are_given_is_warned_of():
    (line,) = warnings(small_plan(seeds=20, entrants={"given": {"lr": 0.01}, "best": {}}))
    assert line.startswith("the rate of given is given, and the others have the best one that is found")
    for entrants in ({"a": {"lr": 0.01}, "b": {"lr": 0.02}}, ENTRANTS):
        assert list(warnings(small_plan(seeds=20, entrants=entrants))) == []


@pytest.mark.parametrize("as_json", [False, True])
def test_the_estimate_counts_runs_seconds_and_memory(as_json, tmp_path, capsys):
    plan = small_plan(seeds=8, tuning_seeds=2, rates=3)
    timings = {"poem": {"uniform": Timing(0.1, 0, 1.0, 2**20), "ones": Timing(0.2, 0, 3.0, 2**21)}}
    estimate(Race(tmp_path, plan, Results(tmp_path), timings, entries(plan)), 2, as_json=as_json)
    out = capsys.readouterr().out
    # 6 runs each of 3 and 7 s, then 8 and twice 8 of 5 s in the middle
    if as_json:
        assert json.loads(out) == {
            "runs": 36, "runs_of_a_further_rate": 2, "seconds": pytest.approx(90), "processes": 2,
            "memory": 2**22,
        }  # fmt: skip
        return
    assert out.splitlines() == [
        "36 runs, and 2 more for each further rate that an entrant needs",
        "about 1:30 min, 2 at a time",
        "about 4.0 MiB of memory for 2 processes",
    ]


# --- while it runs


def test_a_scoreboard_off_a_terminal_says_every_few_seconds_how_far_it_is(race_of, capsys, monkeypatch):
    race, _ = race_of(small_plan(), runs=5)
    race.n_workers, race.runs_done, race.runs_left, race.seconds_left = 2, 5, 39, 78.0
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    board = Scoreboard()
    board.started(race)
    assert capsys.readouterr().err.splitlines() == [
        f"uniform, ones: 20 steps, results in {race.directory}",
        *warnings(race.plan),
    ]
    for _ in range(5):
        now[0] += 4
        board.looked(race)
    assert capsys.readouterr().err.splitlines() == ["5 of 44 runs, 2 at a time, about 39 s left"]
    board.finished_a_run(race, next(iter(race.results.rows.values())))  # a run of 0.52 s, in 20 s
    now[0] += 20
    board.looked(race)
    assert capsys.readouterr().err.splitlines() == ["5 of 44 runs, 2 at a time, about 1:40 h left"]
    race.runs_left = 0
    now[0] += 20
    board.looked(race)
    assert capsys.readouterr().err.splitlines() == ["5 of 5 runs"]


def test_a_run_that_failed_is_told(race_of, capsys):
    race, _ = race_of(small_plan(), lambda run: math.inf, runs=1)
    board = Scoreboard()
    (row,) = race.results.rows.values()
    board.finished_a_run(race, row)
    assert capsys.readouterr().err == f"poem, uniform, rate {row['lr']:g}: {row['problem']}\n"


def test_json_has_a_line_for_each_run_and_one_for_the_report(race_of, capsys, monkeypatch):
    race, found = race_of(small_plan())
    monkeypatch.setattr(show, "write_files", lambda directory, *others: [directory / "runs.csv"])
    board = Scoreboard(as_json=True)
    rows = list(race.results.rows.values())
    for row in rows[:2]:
        board.finished_a_run(race, row)
    board.finished(race, {}, done=True)
    captured = capsys.readouterr()
    *lines, last = map(json.loads, captured.out.splitlines())
    assert lines == rows[:2]
    assert last == {
        "report": json.loads(json.dumps(found.as_json())),
        "files": [str(race.directory / "runs.csv")],
    }
    assert captured.err == ""


def test_an_interrupted_race_ends_with_the_command_that_goes_on(race_of, capsys, monkeypatch):
    race, found = race_of(small_plan(), runs=20)
    monkeypatch.setattr(show, "write_files", lambda directory, *others: [directory / "runs.csv"])
    Scoreboard().finished(race, {}, done=False)
    captured = capsys.readouterr()
    assert captured.out.endswith(f"in {race.directory}: plan.toml, results.jsonl, runs.csv\n")
    assert captured.err == (f"{found.left} runs are left; to go on: microgpt race {race.directory}\n")


def test_the_table_on_a_terminal_is_of_the_condition_that_is_run(race_of):
    plan = small_plan(conditions={"short": {"seq_len": 4}, "long": {}})
    race, _ = race_of(plan, loss, runs=12)
    assert show._so_far(race, "long") == [["uniform", "", "0 of tuning", ""], ["ones", "", "0 of tuning", ""]]
    rate = f"{race.entries[0].open.rates.lr:.2g}"
    assert show._so_far(race, "short") == [["uniform", rate, "0 of 8", ""], ["ones", rate, "0 of 8", ""]]
