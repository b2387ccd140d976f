"""Races as their directories tell them: what `microgpt race` prints, and the numbers behind it."""

import json

import pytest
from racing import HEADS, begun, hold_at_once

from microgpt.errors import MicrogptError
from microgpt.race.results import Results
from microgpt.race.show import pair_row
from microgpt.report import races

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 6


@pytest.fixture
def directory(tmp_path):
    """A race that has just begun."""
    (tmp_path / "text.txt").write_text(TEXT)
    return begun(tmp_path / "race", tmp_path / "text.txt")


def test_a_race_is_told_by_the_numbers_that_it_has_found(directory):
    hold_at_once(directory)
    found = races.read(directory)
    told = races.as_json(found, "race", directory)
    json.dumps(told, allow_nan=False)
    assert told["entrants"] == list(HEADS)
    assert (told["done"], told["left"]) == (len(Results(directory).rows), 0)
    (finding,) = told["findings"]
    (judgement,) = finding["judgements"]
    assert judgement["verdict"] == f"{HEADS[1]} is better than {HEADS[0]}."
    verdict = found.findings[0].equal_steps.verdict
    assert [each["mean"] for each in judgement["standings"]] == [each.mean for each in verdict.standings]
    assert [each["interval"] for each in judgement["standings"]] == [
        list(each.interval) for each in verdict.standings
    ]
    (pair,) = judgement["pairs"]
    assert (pair["first"], pair["winner"]) == (HEADS[1], HEADS[1])
    assert pair["difference"] == -abs(verdict.pairs[0].difference)
    assert pair["interval"][0] <= pair["difference"] <= pair["interval"][1] < 0
    assert judgement["tables"][1]["rows"] == [pair_row(verdict.pairs[0])]
    for rates, side in zip(finding["rates"], found.findings[0].sides, strict=True):
        assert rates["chosen"] == side.lr
        assert rates["lr"][rates["bits"].index(min(rates["bits"]))] == side.lr


def test_a_race_without_results_says_so(directory, tmp_path):
    assert races.is_race(directory)
    assert not races.is_race(tmp_path)
    with pytest.raises(MicrogptError, match="has no results yet"):
        races.read(directory)
