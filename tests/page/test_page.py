import json
from html.parser import HTMLParser

import pytest

from microgpt.page.page import asset, document, json_text

HOSTILE = "</script><!--<script>&amp;\"'\\\u2028\u2029\0\x1b\x7f\u202e\u05d0\U0001f600\ud800"


class Read(HTMLParser):
    """The elements of a page, and the text of each script."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, text):
        if self.lasttag == "script" and text.strip():
            self.scripts[-1] += text


def test_data_come_back_whatever_they_hold():
    text = document("a title", "<main></main>", data={"one": {"text": HOSTILE}, "two": [1.5, None]})
    assert json.loads(Read(text).scripts[0]) == {"text": HOSTILE}
    assert json.loads(Read(text).scripts[1]) == [1.5, None]


def test_nothing_that_hostile_words_hold_becomes_an_element():
    plain = document("title", "<main></main>", scripts=["let one = 1;"], data={"text": ""})
    hostile = document(HOSTILE, "<main></main>", scripts=["let one = 1;"], data={"text": HOSTILE * 3})
    assert Read(hostile).elements == Read(plain).elements
    hostile.encode()


def test_data_are_ascii_without_a_sign_that_html_reads():
    text = json_text(HOSTILE)
    assert text.isascii()
    assert not set("<>&") & set(text)


def test_a_page_names_no_address():
    text = document("title", "<main></main>")
    addresses = [
        value
        for _, attributes in Read(text).elements
        for name, value in attributes.items()
        if name in ("src", "href") and not value.startswith("data:")
    ]
    assert addresses == []
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("text", ["'</script>'", "'<!-- '", "'</STYLE>'"])
def test_a_script_or_a_style_that_would_end_early_is_refused(text):
    for part in ("scripts", "styles"):
        with pytest.raises(ValueError, match="in its middle"):
            document("title", "", **{part: [text]})


def test_numbers_that_json_does_not_have_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        document("title", "", data={"numbers": [float("nan")]})


def test_all_styles_and_scripts_of_the_room_can_stand_in_a_page():
    text = document("title", "", styles=[asset("style.css")], scripts=[asset("theme.js")])
    assert text.count("--paper: light-dark") == 2
