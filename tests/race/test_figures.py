"""The figures of a race: made for every condition, the same each time, and with all names in them."""

import math
import re
import sys

import pytest
from made_up_findings import NAMES, PAIR, finding, side

from microgpt.errors import MicrogptError
from microgpt.race.figures import draw, file_names
from microgpt.race.plan import Plan
from microgpt.race.report import Report

KINDS = ("losses", "pairs-equal-steps", "pairs-equal-seconds", "rates", "seconds")


def report(*findings, names=NAMES):
    plan = Plan(texts=("tales.txt",), entrants={name: {"steps": n} for n, name in enumerate(names, 1)})
    return Report(plan, findings, done=1, left=0, least=7, notes=())


def written_in(svg):
    """The texts of a figure, which stand as comments beside their outlines; its lines are joined."""
    return " ".join(re.findall(r"<!-- (.*?) -->", svg.read_text(encoding="utf-8"), re.DOTALL)).replace(
        "\n", " "
    )


@pytest.fixture(autouse=True)
def matplotlib():
    return pytest.importorskip("matplotlib")


def test_every_condition_has_its_figures_and_each_of_them_every_name(tmp_path):
    paths = draw(report(finding(condition="tales"), finding(condition="T 128, a/b: c")), tmp_path)
    stems = [f"{condition}-{kind}" for condition in ("tales", "T-128-a-b-c") for kind in KINDS]
    assert [path.name for path in paths] == [f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")]
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        else:
            assert all(name in written_in(path) for name in NAMES), path.name


def test_the_same_report_gives_the_same_bytes(tmp_path):
    first, second = (draw(report(finding(PAIR, equal_seconds=None)), tmp_path / each) for each in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_where_too_little_is_known_what_there_is_is_drawn(tmp_path):
    early = side("ones", rates=((2.7, 2.71), (2.6,), ()), lr=None)
    unknown = finding(sides=(side("uniform"), early), equal_steps=None, equal_seconds=None)
    svg, _ = draw(report(unknown), tmp_path)
    assert svg.name == "tales-rates.svg"
    assert "Not every rate is chosen yet" in written_in(svg)
    nothing = side("ones", rates=(), lr=0.002)
    assert draw(report(finding(sides=(nothing,), equal_steps=None, equal_seconds=None)), tmp_path) == []


def test_entrants_whose_runs_failed_are_named(tmp_path):
    failing = side("failing", failed=3)
    hopeless = side("hopeless", rates=((math.inf, math.inf), (2.6, math.inf)), lr=None)
    names = (*NAMES, "failing", "hopeless")
    sides = (*finding().sides, failing, hopeless)
    losses, _, *_, rates, _, _, _ = draw(report(finding(sides=sides), names=names), tmp_path)
    assert "3 of 8 runs stopped being finite" in written_in(losses)
    assert "no rate stayed finite" in written_in(losses)
    assert "A cross at the top is a rate with which runs stopped being finite." in written_in(rates)
    assert "With every rate that was tried, runs of hopeless stopped being finite" in written_in(rates)


def test_names_may_be_long_and_of_any_characters(tmp_path):
    names = ("x" * 300, "$a_b$ <&> --", "头 words", "1x8 | " * 30)
    paths = draw(report(finding(names), names=names), tmp_path)
    assert len(paths) == 2 * len(KINDS)
    losses = written_in(paths[0])
    assert "$a_b$ &lt;&amp;&gt; - -" in losses
    assert "头 words" in losses


def test_file_names_are_safe_and_all_different():
    conditions = ["T 128, a/b: c", "t 128 A b C", "../..", "", "x" * 300, "头"]
    assert file_names(conditions) == [
        "T-128-a-b-c",
        "t-128-A-b-C-2",
        "condition",
        "condition-2",
        "x" * 50,
        "头",
    ]


def test_without_matplotlib_a_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MicrogptError, match=r"pip install 'microgpt-numba\[plots\]'"):
        draw(report(finding()), tmp_path)
    assert list(tmp_path.iterdir()) == []
