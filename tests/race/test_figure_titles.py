"""What the title of a figure says was found."""

import re

import pytest
from made_up_findings import NAMES, PAIR, judgement

from microgpt.race.figure_titles import sentence


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
