"""What a narrow terminal gets, and that nothing changes off a terminal."""

import pytest

from microgpt.terminal import fitting
from microgpt.terminal.fitting import fitted, fitting_columns

LINE = "cublas  no  there is no GPU, or its driver is missing: pip install one-of-them"
WIDTHS = {"run": 20, "heads": 10, "loss": 6}


@pytest.fixture
def terminal(monkeypatch):
    return lambda width: monkeypatch.setattr(fitting, "columns", lambda: width)


def test_lines_break_between_words(terminal):
    terminal(30)
    lines = fitted(LINE, 12).splitlines()
    assert max(map(len, lines)) <= 30
    assert [line[:12] for line in lines[1:]] == [" " * 12] * (len(lines) - 1)
    assert " ".join(" ".join(lines).split()) == " ".join(LINE.split())


def test_a_word_that_is_too_long_is_cut(terminal):
    terminal(30)
    assert fitted("sha256  " + "a" * 64, 8) == f"sha256  {'a' * 19}..."
    assert fitted("sha256  " + "a" * 22, 8) == "sha256  " + "a" * 22


def test_a_table_leaves_out_what_matters_least(terminal):
    for width, names in ((40, ["run", "heads", "loss"]), (39, ["run", "loss"]), (28, ["run", "loss"])):
        terminal(width)
        assert fitting_columns(WIDTHS, ("heads", "loss"), gap=2) == names
    terminal(27)
    assert fitting_columns(WIDTHS, ("heads", "loss"), gap=2) == ["run"]


def test_files_get_all_of_it():
    assert fitted(LINE * 9, 12) == LINE * 9
    assert fitting_columns(WIDTHS, ("heads",), gap=99) == list(WIDTHS)
