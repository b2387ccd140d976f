"""The figures of a race: made for every condition, the same each time, and with all names in them."""

import math
import re
import sys

import numpy as np
import pytest

from microgpt.errors import MicrogptError
from microgpt.race.figures import draw, file_names, sentence
from microgpt.race.plan import Plan
from microgpt.race.report import Finding, Judgement, Report, Side
from microgpt.race.runs import Rate
from microgpt.race.statistics import judge

NAMES = ("uniform", "1x64 | 4x16 | 8x8 | 16x4", "ones")
PAIR = ("uniform", "ones")
KINDS = ("losses", "pairs-equal-steps", "pairs-equal-seconds", "rates", "seconds")


def side(name, *, seconds=30.0, rates=((2.7, 2.71), (2.6, 2.62), (2.65, 2.66)), lr=0.002, failed=0):
    tried = tuple(Rate(0.001 * 2**i, bits, len(bits) == 2) for i, bits in enumerate(rates))
    return Side(name, tried, lr, at_the_edge=False, steps=100, seconds=seconds, done=8, failed=failed)


def judgement(names, n_seeds=12, gap=0.05, means=None):
    """Each entrant worse than the one before by the gap, or with these means above the noise."""
    random = np.random.default_rng(1).normal(2.6, 0.01, (len(names), n_seeds))
    losses = random + np.array(means or gap * np.arange(len(names)))[:, None]
    seeds = tuple(range(1, n_seeds + 1))
    steps = tuple(100 + i for i in range(len(names)))
    return Judgement(tuple(names), seeds, losses, steps, judge(names, losses, 0.005, resamples=999))


def finding(names=NAMES, condition="tales", **others):
    sides = tuple(side(name, seconds=30.0 + i) for i, name in enumerate(names))
    values = {"sides": sides, "equal_steps": judgement(names), "equal_seconds": judgement(names)}
    return Finding(condition, **(values | others))


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


@pytest.mark.parametrize(
    ("judged", "says"),
    [
        (judgement(PAIR), r"uniform is better than ones by 0\.0\d+ \[0\.0\d+, 0\.0\d+\] bits"),
        (
            judgement(PAIR, gap=0),
            r"(uniform and ones|ones and uniform) differ by at most 0\.0\d+ bits, if at all",
        ),
        (judgement(PAIR, n_seeds=2), "there are too few seeds to find a difference"),
        (
            judgement(NAMES),
            r"uniform is the best: 0\.0\d+ \[0\.0\d+, 0\.0\d+\] bits better than the next, 1x64 .*",
        ),
        (judgement(NAMES, gap=0), "no difference between the 3 entrants was found"),
        (judgement("abc", means=(0, 0, 0.1)), "nothing was found to be better than [ab] or [ab]"),
        (judgement("abcdef", means=(0, 0, 0, 0, 0, 0.1)), "5 of 6 entrants lost to no other one"),
    ],
)
def test_the_title_says_what_was_found(judged, says):
    assert re.fullmatch(f"With equal steps, {says}", sentence("With equal steps", judged))


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
