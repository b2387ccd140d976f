"""`microgpt race` from the command line: what it says, writes and refuses; stopped, it goes on."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from made_up_races import row_of
from racing import (
    HEADS,
    QUICK,
    TEXT,
    WITHOUT_FIGURES,
    WORDS,
    begun,
    found,
    in_threads,
    plan,
    rows,
    started,
    until_rows,
)
from typer.testing import CliRunner

from microgpt.cli.app import app
from microgpt.race import command
from microgpt.race.race import PLAN_FILE, SPEEDS_FILE, TIMING
from microgpt.race.results import RESULTS_FILE
from microgpt.race.runs import entries, known_runs
from microgpt.training.directory import LOCK_FILE

unix = pytest.mark.skipif(os.name != "posix", reason="signals of this kind are Unix's")
# runs of about a tenth of a second, so that there is something to stop
LONG = {"seeds": 3, "options": {"steps": 20}}


@pytest.fixture
def threads(monkeypatch):
    """Runs in threads of this process, entrants that are timed in one turn, and no figures."""
    monkeypatch.setattr(command, "_workers", in_threads)
    monkeypatch.setattr(command, "TURNS", 1)
    monkeypatch.setattr("microgpt.race.files.find_spec", lambda name: None)


def race(*arguments, code=0):
    result = CliRunner().invoke(app, ["race", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def refused(*arguments, code=1):
    """The one sentence."""
    lines = race(*arguments, code=code).stderr.splitlines()
    assert [line.startswith("microgpt: ") for line in lines].count(True) == 1
    return lines[-1].removeprefix("microgpt: ")


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@pytest.mark.usefixtures("threads")
def test_a_whole_race(here):
    result = race("text.txt", *WORDS)
    assert "With equal steps, 6 seeds:" in result.stdout
    assert all(heads in result.stdout for heads in HEADS)
    directory = here / "races" / "text"
    assert {PLAN_FILE, SPEEDS_FILE, RESULTS_FILE, "runs.csv", "report.json"} < files(directory).keys()
    assert not [name for name in files(directory) if name.endswith(".tmp")]
    before = found(directory)
    # the same words, the directory and the plan all go on with it, and say the same
    for words in (("text.txt", *WORDS), (directory,), (directory / PLAN_FILE,)):
        assert race(*words).stdout.replace(str(here) + "/", "") == result.stdout
    assert found(directory) == before
    # other words are another race
    race("text.txt", *WORDS, "--seeds", "5")
    assert len(found(here / "races" / "text-2")) == len(before) - 2


@pytest.mark.usefixtures("threads")
def test_lines_of_json(here):
    result = race("text.txt", *WORDS, "--json", "--out", "a race")
    *lines, last = map(json.loads, result.stdout.splitlines())
    assert lines == rows("a race")
    assert last["report"]["done"] == len(lines)
    assert last["report"]["left"] == 0
    assert set(last["files"]) >= {"a race/runs.csv", "a race/report.json"}
    # what is done already is not told again
    (again,) = map(json.loads, race("a race", "--json").stdout.splitlines())
    assert again == last


@pytest.mark.usefixtures("threads")
def test_a_dry_run_writes_nothing(here):
    before = sorted(here.rglob("*"))
    result = race("text.txt", *WORDS, "--dry-run")
    assert re.match(r"24 runs, and 2 more for each further rate", result.stdout)
    assert re.search(r"about .* of memory for 1 processes", result.stdout)
    assert json.loads(race("text.txt", *WORDS, "--dry-run", "--json").stdout)["runs"] == 24
    assert sorted(here.rglob("*")) == before


@pytest.mark.usefixtures("threads")
def test_another_plan_for_the_same_directory_is_refused(here):
    race("text.txt", *WORDS, "--out", "race")
    before = files(here / "race")
    said = refused("text.txt", *WORDS, "--seeds", "7", "--out", "race")
    assert said.startswith("race holds another race (seeds 6 there, 7 here): name another directory")
    assert files(here / "race") == before


@pytest.mark.usefixtures("threads")
def test_a_text_that_has_changed_since_the_race_is_noted(here):
    race("text.txt", *WORDS, "--out", "race")
    assert "has changed" not in race("race").stderr
    (here / "text.txt").write_text(TEXT[1:])
    assert "text.txt has changed since: these are the results of the text that it was" in race("race").stderr


@pytest.mark.usefixtures("threads")
def test_a_plan_that_is_changed_is_noted(here):
    race("text.txt", *WORDS, "--out", "race")
    file, n_before = here / "race" / PLAN_FILE, len(found("race"))
    file.write_text(file.read_text().replace("\nseeds = 6\n", "\nseeds = 8\n"))
    result = race("race")
    assert len(found("race")) == n_before + 4
    said = f"{n_before} of the runs were made with another plan: seeds 6 there, 8 here."
    assert said in " ".join(result.stdout.split())
    report = json.loads((here / "race" / "report.json").read_text())
    assert said in report["notes"]


BY_HAND = """\
texts = ["text.txt"]  # a cat and a dog
seeds = 6
tuning_seeds = 0
equal_seconds = false
options = {backend = "reference", seq_len = 10, d_model = 6, n_layers = 1, steps = 3}
entrants = {mixed = {heads = "1+2+3"}, equal = {heads = "2+2+2"}}
"""


@pytest.mark.usefixtures("threads")
def test_a_plan_that_was_written_by_hand_stays_as_it_is(here):
    """And its copy knows the text."""
    (here / "race").mkdir()
    file = here / "race" / PLAN_FILE
    file.write_text(BY_HAND)
    race("race", "--dry-run")
    race("race")
    assert file.read_text() == BY_HAND
    (copy,) = command.earlier_plans(here / "race").values()
    assert copy.sha256 == (hashlib.sha256(TEXT.encode()).hexdigest(),)
    assert len(found("race")) == 12
    assert "another plan" not in race("race").stdout
    file.write_text(BY_HAND.replace("seeds = 6", "seeds = 8"))
    (here / "text.txt").write_text(TEXT[1:])
    assert "is not the text that the race was planned with" in refused("race")
    (here / "text.txt").write_text(TEXT)
    said = "12 of the runs were made with another plan: seeds 6 there, 8 here."
    assert said in " ".join(race("race").stdout.split())
    assert len(found("race")) == 16


@pytest.mark.usefixtures("threads")
def test_a_plan_of_another_race_can_be_held_elsewhere(here):
    race("text.txt", *WORDS, "--out", "race")
    race("race/plan.toml", "--out", "again")
    race("race", "--out", "a third time")
    assert found("race") == found("again") == found("a third time")


@pytest.mark.usefixtures("threads")
def test_a_plan_from_a_file(here):
    race("text.txt", *WORDS, "--out", "race")
    shutil.copy("race/plan.toml", "mine.toml")
    race("mine.toml")
    assert found(here / "races" / "mine") == found("race")
    said = refused("mine.toml", "--seeds", "3", code=2)
    assert said.startswith("a plan says all that a race needs: leave other options away")
    assert refused("none.toml") == "there is no plan none.toml"


@pytest.mark.usefixtures("threads")
def test_texts_that_are_gone_or_changed(here):
    race("text.txt", *WORDS, "--out", "race")
    lines = (here / "race" / RESULTS_FILE).read_bytes().splitlines(keepends=True)
    report = race("race").stdout
    for change in (
        lambda: (here / "text.txt").unlink(),
        lambda: (here / "text.txt").write_text("other " * 99),
    ):
        change()
        assert race("race").stdout == report  # all is done, and the text is not needed
        (here / "race" / RESULTS_FILE).write_bytes(b"".join(lines[:-1]))
        said = refused("race")
        assert "text.txt" in said
        assert said.startswith("there is no file") or "is not the text that the race was planned with" in said
        (here / "race" / RESULTS_FILE).write_bytes(b"".join(lines))
    assert (here / "race" / RESULTS_FILE).read_bytes() == b"".join(lines)


@pytest.mark.usefixtures("threads")
def test_what_cannot_be_held_leaves_nothing(here):
    (here / "short.txt").write_text("a b c")
    for words in (
        ("none.txt", *WORDS),
        ("none.txt", *WORDS, "--out", "race"),
        ("-", *WORDS),
        ("text.txt",),
        ("text.txt", "none.txt", *WORDS, "--out", "deep/race"),
    ):
        refused(*words)
    assert sorted(path.name for path in here.iterdir()) == ["short.txt", "text.txt"]
    assert "needs a text" in refused()


@pytest.mark.usefixtures("threads")
def test_directories_that_hold_no_race(here):
    (here / "empty").mkdir()
    assert refused("empty") == "empty holds no race: there is no plan.toml in it"
    (here / "full").mkdir()
    (here / "full" / "file").touch()
    assert "--out full is not empty" in refused("text.txt", *WORDS, "--out", "full")
    assert "--out text.txt is a file" in refused("text.txt", *WORDS, "--out", "text.txt")
    # one in which something else is, is passed over; one that was left before there was a plan is not
    (here / "races" / "text").mkdir(parents=True)
    (here / "races" / "text" / "notes").touch()
    (here / "races" / "text-2").mkdir()
    (here / "races" / "text-2" / LOCK_FILE).touch()
    race("text.txt", *WORDS)
    assert (here / "races" / "text-2" / RESULTS_FILE).exists()
    assert [path.name for path in (here / "races" / "text").iterdir()] == ["notes"]


@pytest.mark.usefixtures("threads")
def test_a_race_that_is_damaged_is_refused_in_a_sentence(here):
    race("text.txt", *WORDS, "--out", "race")
    directory = here / "race"
    for name, content in (
        (RESULTS_FILE, "no json\n"), (SPEEDS_FILE, "{"), (PLAN_FILE, "seeds = ["), (PLAN_FILE, "seeds = 1"),
    ):  # fmt: skip
        before = (directory / name).read_bytes()
        (directory / name).write_text(content)
        assert name in refused("race")
        (directory / name).write_bytes(before)
    race("race")


# without these two rights root, too, may write only where the mode says so
BOUND = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
BOUND = BOUND if getattr(os, "geteuid", lambda: 1)() == 0 and shutil.which("setpriv") else []


@unix
@pytest.mark.skipif(
    os.name == "posix" and os.geteuid() == 0 and not BOUND, reason="root may write everywhere"
)
def test_a_directory_that_cannot_be_written(here):
    begun(here / "race", "text.txt")
    (here / "race" / LOCK_FILE).touch()
    (here / "race").chmod(0o500)
    result = subprocess.run([*BOUND, *QUICK, "race"], capture_output=True, text=True)
    (here / "race").chmod(0o700)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.match(r"microgpt: cannot write race/.*: Permission denied\n", result.stderr)
    assert sorted(files(here / "race")) == [LOCK_FILE, PLAN_FILE, SPEEDS_FILE]


@pytest.mark.usefixtures("threads")
def test_files_that_are_in_the_way(here):
    """What root, too, cannot write."""
    begun(here / "race", "text.txt")
    (here / "race" / RESULTS_FILE).mkdir()
    assert RESULTS_FILE in refused("race")
    (here / "race" / RESULTS_FILE).rmdir()
    (here / "race" / "runs.csv").mkdir()
    assert "runs.csv" in refused("race")
    (here / "race" / "runs.csv").rmdir()
    race("race")


# --- with processes


@unix
@pytest.mark.usefixtures("signals")
def test_a_race_that_is_stopped_shows_what_it_has_and_goes_on(here, monkeypatch):
    begun(here / "stopped", "text.txt", **LONG)
    for n, name in enumerate(("SIGINT", "SIGTERM"), 1):
        with started("stopped") as process:
            until_rows("stopped", 4 * n)
            process.send_signal(getattr(signal, name))
            stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in stderr
        assert re.search(r"1\+2\+3 +.* of tuning\n", stdout)
        left, go_on = re.search(r"^([\d,]+) runs are left; to go on: (.*)$", stderr, re.MULTILINE).groups()
        assert int(left) > 0
        assert go_on.endswith(" -m microgpt race stopped")
        report = json.loads((here / "stopped" / "report.json").read_text())
        assert (report["done"], report["left"]) == (len(found("stopped")), int(left))
    begun(here / "whole", "text.txt", **LONG)
    monkeypatch.setattr(command, "_workers", in_threads)
    monkeypatch.setattr("microgpt.race.files.find_spec", lambda name: None)
    for directory in ("stopped", "whole"):
        race(directory)
    assert found("stopped") == found("whole")


@unix
@pytest.mark.usefixtures("signals")
def test_a_race_that_is_stopped_while_its_entrants_are_timed_says_how_to_go_on(here):
    with started("text.txt", *WORDS) as process:
        assert process.stderr.readline() == f"{TIMING} ...\n"
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert re.fullmatch(r"microgpt: interrupted; to go on: .* -m microgpt race races/text\n", said)


@unix
@pytest.mark.usefixtures("signals")
def test_a_race_has_one_leading_process(here):
    begun(here / "race", "text.txt", **LONG)
    with started("race") as process:
        until_rows("race", 1)
        said = refused("race", "--processes", "1")
        assert said.startswith("another microgpt is writing race: wait until it ends")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130


# asked for at the end: Linux counts what the parent had at the fork to a child's maxrss
PEAK = r"""
import atexit, re
from pathlib import Path

peak = lambda: re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: Path("peak.txt").write_text(peak()))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is looked up in /proc")
def test_the_leading_process_of_a_large_race_takes_little_memory(here):
    """All resamples of its many seeds together would fill the memory."""
    entrants = {heads: {"heads": heads} for heads in (*HEADS, "6", "1+5", "4+2")}
    shape = {"entrants": entrants, "seeds": 500, "tuning_seeds": 0}
    its = plan("text.txt", **shape)
    rows = [row_of(run, 2 + i % 83 / 100, its) for i, run in enumerate(known_runs(entries(its), {}, {}))]
    begun(here / "race", "text.txt", **shape)
    (here / "race" / RESULTS_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = (sys.executable, "-c", PEAK + WITHOUT_FIGURES, "race", "race")
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert "With equal steps, 500 seeds: " in done.stdout
    mib = int((here / "peak.txt").read_text()) >> 10
    assert mib < 300
