"""The report that a run keeps beside itself."""

import json
import re
import time

import pytest
from reporters import Silent, resume

from microgpt.checkpoint.saved import load_state
from microgpt.config import TrainConfig
from microgpt.report import beside as module
from microgpt.report.beside import REPORT_FILE, beside
from microgpt.training.train import train

OPTIONS = {
    "steps": 40, "seq_len": 8, "batch_size": 2, "d_model": 16, "n_layers": 1, "backend": "reference",
    "sample_every": 10,
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat; a dog ate the hat.\n" * 12)
    return TrainConfig(file=str(tmp_path / "text.txt"), out=str(tmp_path / "run"), **OPTIONS)


def data_in(file):
    (found,) = re.findall(r'id="report">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found)


class Watching(Silent):
    """Looks at the page after each report."""

    def __init__(self, file, **others):
        super().__init__(**others)
        self.file, self.pages = file, []

    def advanced(self, metrics):
        super().advanced(metrics)
        if self.file.exists():
            self.pages.append(data_in(self.file))


def test_a_page_is_there_while_the_run_goes_on_and_whole_at_its_end(config, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REST", 0.0)
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)
    shown = Watching(tmp_path / "run" / REPORT_FILE)
    with beside(shown) as reporter:
        train(config, reporter)
    steps = [page["runs"][0]["training"]["step"][-1] for page in shown.pages]
    assert steps == sorted(steps)
    assert len(set(steps)) > 10
    assert {page["runs"][0]["state"] for page in shown.pages} == {"running"}
    last = data_in(shown.file)
    (its,) = last["runs"]
    assert (its["state"], last["reload_seconds"]) == ("done", 0)
    assert its["training"]["step"] == [each["step"] for each in shown.reports]
    assert [(each["step"], each["text"]) for each in its["samples"]] == shown.samples
    assert [note for note in shown.notes if "report" in note] == [f"its report: {shown.file}"]
    assert reporter.problem is None


def test_a_resumed_run_goes_on_with_its_page(config, tmp_path):
    with beside(Silent(stop_at=15)) as reporter:
        train(config, reporter)
    file = tmp_path / "run" / REPORT_FILE
    assert data_in(file)["runs"][0]["state"] == "stopped"
    with beside(Silent()) as reporter:
        resume(load_state(tmp_path / "run").config, reporter, tmp_path / "run")
    (its,) = data_in(file)["runs"]
    assert its["state"] == "done"
    assert its["training"]["step"] == list(range(1, 41))
    assert len(its["starts"]) == 2


def test_pages_take_less_than_a_hundredth_of_the_time(config, monkeypatch):
    """However long one takes, by a clock that only writing moves."""
    now, written = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slow(path, content):
        now[0] += 0.5
        written.append(now[0])

    monkeypatch.setattr(module, "write_atomically", slow)

    class Ticking(Silent):
        def reported(self, metrics):
            super().reported(metrics)
            now[0] += 10.0

    with beside(Ticking()) as reporter:
        train(config, reporter)
    assert len(written) == 9  # one each 50 s of 400, and the last
    assert 0.5 * len(written[:-1]) <= 0.011 * now[0]


def test_a_page_that_cannot_be_written_is_told_once_and_ends_no_run(config, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REST", 0.0)
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)

    class Blocking(Silent):
        def started(self, summary):
            super().started(summary)
            (tmp_path / "run" / REPORT_FILE).mkdir()

    shown = Blocking()
    with beside(shown) as reporter:
        assert train(config, reporter).step == 40
    (note,) = [note for note in shown.notes if "cannot write" in note]
    assert note.endswith("; the run goes on without its report")
    assert REPORT_FILE in reporter.problem


def test_a_run_that_is_moved_has_no_report_in_the_place_where_it_was(config, tmp_path):
    class Moving(Silent):
        def sampled(self, step, text):
            super().sampled(step, text)
            if step == 10:
                (tmp_path / "run").rename(tmp_path / "elsewhere")

    shown = Moving()
    with beside(shown) as reporter:
        train(config, reporter)
    assert not (tmp_path / "run" / REPORT_FILE).exists()
    assert "was moved" in reporter.problem
