"""`microgpt report`: from directories to a page."""

import json
import re
import signal

import pytest
from made_up_runs import report as line
from made_up_runs import write_run
from typer.testing import CliRunner

from microgpt.cli.app import app
from microgpt.report import command
from microgpt.training.directory import reopen


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(*words):
    return CliRunner().invoke(app, ["report", *words])


def test_runs_become_a_page(here):
    for name in ("first", "second"):
        write_run(here / "runs" / name)
    found = report("runs/first", "runs/second", "--out", "page.html")
    assert (found.exit_code, found.stdout) == (0, "")
    assert re.fullmatch(r"page\.html: [\d.]+ KiB; open it in any browser\n", found.stderr)
    assert report("runs/first", "runs/second").stderr.startswith("report.html: ")
    found = report("runs/first", "runs/first/", "--json")
    page = here / "runs" / "first" / "report.html"
    assert json.loads(found.stdout) == {
        "page": "runs/first/report.html", "bytes": page.stat().st_size, "runs": 1, "races": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there is no run or race nowhere"),
        ("runs/run/config.toml", "runs/run/config.toml is a file: name the directory of its run"),
        ("runs", "runs holds no run and no race; for a run, `microgpt runs` lists those below a directory"),
    ],
)
def test_what_is_no_run_is_named(here, name, message):
    write_run(here / "runs" / "run")
    found = report("runs/run", name)
    assert (found.exit_code, found.stderr) == (1, f"microgpt: {message}\n")
    assert not (here / "report.html").exists()


def test_a_run_that_goes_on_is_followed_to_its_end(here, monkeypatch):
    directory = write_run(here / "run", range(5, 51, 5))
    lock = reopen(directory, "config.toml")
    pages = []

    def wait(seconds, stop):
        pages.append((directory / "report.html").read_text())
        with (directory / "metrics.jsonl").open("a") as log:
            log.write(json.dumps(line(55 + len(pages))) + "\n")
        if len(pages) == 3:
            lock.release()

    monkeypatch.setattr(command, "_wait", wait)
    assert report("run", "--follow").exit_code == 0
    assert len(pages) == 3
    assert all('"state":"running"' in page for page in pages)
    last = (directory / "report.html").read_text()
    assert '"state":"stopped"' in last
    assert '"reload_seconds":0.0' in last
    assert '"reload_seconds":5.0' in pages[0]


def test_the_page_of_a_run_that_goes_on_waits_for_no_other_after_ctrl_c(here, monkeypatch):
    lock = reopen(write_run(here / "run", range(5, 51, 5)), "config.toml")
    monkeypatch.setattr(command.time, "sleep", lambda seconds: signal.raise_signal(signal.SIGINT))
    found = report("run", "--follow", "--out", "report.html")
    assert (found.exit_code, found.stderr) == (130, "microgpt: interrupted\n")
    last = (here / "report.html").read_text()
    assert '"state":"running"' in last
    assert '"reload_seconds":0.0' in last
    lock.release()


def test_train_keeps_a_page_and_says_at_its_end_where_it_could_not(here):
    (here / "text.txt").write_text("the cat sat on the mat; a dog ate the hat.\n" * 12)
    words = [
        "train", "text.txt", "--steps", "20", "--seq-len", "8", "--d-model", "16", "--backend", "reference",
        "--schedule", "constant", "--report",
    ]  # fmt: skip
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0
    assert "its report: runs/text/report.html\n" in found.stderr
    assert '"state":"done"' in (here / "runs" / "text" / "report.html").read_text()
    (here / "runs" / "text" / "report.html").unlink()
    (here / "runs" / "text" / "report.html").mkdir()
    found = CliRunner().invoke(app, ["train", "--resume", "runs/text", "--steps", "30", "--report"])
    assert found.exit_code == 4
    assert found.stderr.endswith(
        "microgpt: the run is done and saved, but cannot write runs/text/report.html: Is a directory\n"
    )
