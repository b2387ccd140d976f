"""What tests/browser.py finds wrong, without which no test of a page could fail; and the shared script."""

import pytest
from browser import NEEDS_A_BROWSER

from microgpt.page.page import document

pytestmark = NEEDS_A_BROWSER
BUTTON = "<main><h1>A page</h1><button data-theme-button>light or dark</button></main>"


@pytest.mark.parametrize(
    ("body", "script", "message"),
    [
        ("", "throw new Error('one');", "one"),
        ("", "console.error('two');", "two"),
        ("", "console.warn('three');", "three"),
        ('<img src="http://127.0.0.1:9/four.png">', "", "four.png"),
        ("", "fetch('http://127.0.0.1:9/five').catch(() => null);", "five"),
        ("", "eval('1');", "unsafe-eval"),
    ],
)
def test_what_is_wrong_is_found(browse, body, script, message):
    browse(document("a page", body, scripts=[script]))
    assert any(message in what for what in browse.wrong), browse.wrong
    browse.wrong.clear()


def test_the_button_switches_between_light_and_dark_and_the_choice_stays(browse):
    tab = browse(document("a page", BUTTON), dark=True)
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    dark = tab.evaluate(paper)
    tab.get_by_role("button").click()
    light = tab.evaluate(paper)
    assert dark == "rgb(20, 20, 22)"
    assert light == "rgb(252, 251, 248)"
    # a reloaded file may have a new process, which gets to know a little later what the last one has stored
    found = (tab.reload() and tab.evaluate(paper) for _ in range(50))
    assert any(colour == light for colour in found)


def test_data_come_back_in_the_browser_whatever_they_hold(browse):
    hostile = "</script><!--<script>&amp;\"'\\\u2028\u2029\0\x1b\x7f\u202e\u05d0\U0001f600"
    tab = browse(document(hostile, BUTTON, data={"text": hostile}))
    assert tab.evaluate("Data.read('text')") == hostile
    assert tab.evaluate("Data.read('nothing')") is None
    assert tab.evaluate("document.scripts.length") == 2


def test_what_sticks_out_at_the_side_is_found(browse, shoot):
    tab = browse(document("a page", '<div style="width: 500px">wide</div>'))
    with pytest.raises(AssertionError, match="and has 390"):
        shoot(tab, "wide")
