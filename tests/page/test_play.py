"""The page of a model to type with, in a browser, beside what the backends compute."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
from browser import NEEDS_A_BROWSER, PHONE
from saved_examples import state_of

from microgpt.api.log import Log
from microgpt.api.model import Model
from microgpt.checkpoint.saved import SavedModel, load_model
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.model.parameters import count, table, views
from microgpt.page import play
from microgpt.page.play import about, play_page
from microgpt.text.ngrams import ngram_name
from microgpt.text.vocabulary import Vocabulary

LETTERS = '\n !",-.123456789?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
TEXT = "A quiet page,\nand who reads it?"
# what turns a text around, or hides in it
HOSTILE = "\0\x1b\x7f\r\"'`<>&/\\\u0301\u05d0\u0627\u200b\u202e\u2028\u2029\ufeff\U0001f600\U0001f468\u200d"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Held(SavedModel):
    """A saved model whose weights are in memory."""

    weights: np.ndarray

    @property
    def param(self):
        return self.weights


def held(characters=LETTERS, seed=0, **options):
    """A model of the default sizes, or others, with random weights that make it sure of itself."""
    config = TrainConfig("tales.txt", **options)
    vocabulary = Vocabulary("".join(sorted(set(characters))))
    architecture = config.architecture(len(vocabulary))
    weights = np.random.default_rng(seed).normal(0, 0.4, count(table(architecture.sizes)))
    notes = {"step": 1000, "text": "/home/me/tales.txt", "text_characters": 1234, "val_loss": 1.5}
    return Held(
        architecture=architecture, vocabulary=vocabulary, notes=notes, weights=weights.astype(np.float32)
    )


@pytest.fixture(scope="module")
def model():
    return held(heads="exponential")


def on_backend(model, **changes):
    """The same model on the reference backend."""
    return Model(model, "reference", Log(), param=model.param, **changes)


def opened(browse, model, **options):
    tab = browse(play_page(model, "my run"), **options)
    written(tab)
    return tab


def read(tab):
    """Wait until the page has read all of the text."""
    tab.locator("html[data-reading=done]").wait_for(state="attached")


def typed(tab, text):
    tab.get_by_label("The text that the model reads").fill(text)
    read(tab)


def text_of(tab):
    return tab.get_by_label("The text that the model reads").input_value()


def written(tab):
    """Wait until the page has stopped to write."""
    tab.get_by_role("button", name="Write on").wait_for()
    read(tab)


# --- what stands in the file


def test_what_the_page_says_of_the_model(model):
    said = about(model, "my run")
    assert said["parameters"] == count(table(model.architecture.sizes))
    assert said["text"] == "tales.txt"  # not where it lies
    assert said["ngrams"] is None
    assert said["rows"] == {
        "its text": "1,234 characters, of which a part was held out",
        "steps": "1,000",
        "loss of the text held out": f"{1.5 / math.log(2):.3f} bits per character",
        "heads of a layer": "1+1+2+4+8+16+32",
        "positions": "rope",
    }


def test_a_text_of_which_nothing_was_held_out(model):
    seen = dataclasses.replace(model, notes=model.notes | {"val_loss": None})
    assert about(seen, "my run")["rows"]["its text"] == "1,234 characters"


def test_notes_that_are_none_are_left_out(model):
    for notes in ({}, {"step": True, "text": ["a"], "text_characters": "many", "val_loss": math.inf}):
        said = about(dataclasses.replace(model, notes=notes | {"step": 0}), "my run")
        assert said["text"] is None
        assert set(said["rows"]) == {"steps", "heads of a layer", "positions"}


def test_a_page_of_a_model_with_ngrams_says_that_it_leaves_them_out():
    state = state_of(ngrams=6)
    assert f"also uses a table of {ngram_name(6)}s" in about(state, "my run")["ngrams"]
    assert "loss of the text held out" not in about(state, "my run")["rows"]  # of both together


def test_a_page_of_the_default_model_is_below_1_mb(model):
    assert len(play_page(model, "my run").encode()) < 1e6


def test_a_page_that_would_be_too_large_is_refused(model, monkeypatch):
    large = held(d_model=512, seq_len=16)
    monkeypatch.setattr(Held, "param", property(lambda self: pytest.fail("the weights were read")))
    with pytest.raises(MicrogptError, match=r"the page would have 17\.\d MB, and above 8 MB .*--large"):
        play_page(large, "large")
    monkeypatch.undo()
    monkeypatch.setattr(play, "MOST_BYTES", 1000)
    assert len(play_page(model, "my run", large=True)) > 1000


# --- in a browser


class TestInABrowser:
    pytestmark = NEEDS_A_BROWSER

    def test_it_is_ready_within_a_second(self, browse, model):
        tab = browse(play_page(model, "my run"))
        ready = []
        for _ in range(3):
            ready.append(int(tab.evaluate("document.documentElement.dataset.ready")))
            tab.reload()
        assert min(ready) < 1000
        written(tab)
        assert len(text_of(tab)) == 280  # it has written something to begin with
        assert tab.locator("#example").is_hidden()

    def test_the_example_is_called_one_while_it_is_written(self, browse, model):
        tab = browse(play_page(model, "my run").replace("FIRST = 280", "FIRST = 1e9"))
        assert tab.locator("#example").inner_text() == "It is writing an example; type to stop it."
        tab.get_by_label("The text that the model reads").press("End")
        written(tab)
        assert tab.locator("#example").is_hidden()

    def test_the_surprise_is_that_of_the_backend(self, browse, model):
        tab = opened(browse, model)
        typed(tab, TEXT)
        bits = on_backend(model).losses(TEXT) / math.log(2)
        assert tab.locator("#bits").inner_text() == f"{bits.mean():.2f}"
        assert tab.locator("#choices").inner_text() == f"{2 ** bits.mean():.1f}"
        shown = tab.evaluate(
            "Array.from(document.querySelectorAll('#behind > span'), (span) => "
            "Array.from(span.textContent, () => span.className)).flat()"
        )
        assert shown == ["", *(f"s{min(9, int(value))}" for value in bits), ""]  # a mark ends the text

    def test_changes_anywhere_in_a_long_text_are_read_as_if_it_were_new(self, browse, model):
        tab, long = opened(browse, model), (TEXT + "\n") * 20
        typed(tab, long)
        typed(tab, long[:300] + "?" + long[300:])
        shown = tab.locator("#bits").inner_text(), tab.locator("#loss").inner_text()
        typed(tab, "")
        assert tab.locator("#bits").inner_text() == "–"
        typed(tab, long[:300] + "?" + long[300:])
        assert shown == (tab.locator("#bits").inner_text(), tab.locator("#loss").inner_text())

    def test_what_comes_next_follows_the_cursor(self, browse, model):
        tab = opened(browse, model)
        typed(tab, TEXT)
        logits = on_backend(model).logits(TEXT)
        field = tab.get_by_label("The text that the model reads")
        for at in (len(TEXT), 5):
            field.evaluate("(field, at) => field.setSelectionRange(at, at)", at)
            tab.locator("#context", has_text=TEXT[max(0, at - 2) : at]).wait_for()
            probs = np.exp(logits[at - 1] - logits[at - 1].max())
            probs /= probs.sum()
            likeliest = np.argsort(-probs, kind="stable")[:10]
            values = tab.evaluate(
                "Array.from(document.querySelectorAll('#next button'), (b) => Number(b.value))"
            )
            assert values[:10] == likeliest.tolist()
            share = tab.locator("#next .bar").first.evaluate(
                "(bar) => Number(bar.style.getPropertyValue('--share'))"
            )
            assert share == pytest.approx(probs.max(), abs=1e-4)
        came = tab.locator("#next .came .name")
        assert came.inner_text() == TEXT[5]
        assert tab.locator("#next-title").inner_text() == "What it expected here"

    def test_a_press_on_a_character_types_it(self, browse, model):
        tab = opened(browse, model)
        typed(tab, TEXT)
        first = model.vocabulary.characters[int(tab.locator("#next button").first.get_attribute("value"))]
        tab.locator("#next button").first.click()
        assert text_of(tab) == TEXT + first

    @pytest.mark.parametrize("prompt", ["", "A quiet", (TEXT + "\n") * 6], ids=["empty", "short", "long"])
    def test_it_writes_what_generate_writes(self, browse, model, prompt):
        tab = opened(browse, model)
        typed(tab, prompt)
        tab.get_by_label("Temperature").fill("0")
        tab.get_by_label("Characters").fill("150")
        tab.keyboard.press("Control+Enter")
        written(tab)
        assert text_of(tab) == prompt + on_backend(model).generate(prompt, 150, temperature=0)

    def test_lines_end_as_those_that_the_model_has_learned_from(self, browse):
        model = held("ab\r\n", d_model=16)
        tab = opened(browse, model)
        typed(tab, "ab\nba")
        known = on_backend(model).losses("ab\r\nba").mean() / math.log(2)
        assert tab.locator("#bits").inner_text() == f"{known:.2f}"
        tab.get_by_label("Top-k").fill("1")
        tab.keyboard.press("Control+Enter")
        written(tab)
        expected = "ab\r\nba" + on_backend(model).generate("ab\r\nba", 400, temperature=0)
        assert text_of(tab) == expected.replace("\r", "")

    @pytest.mark.parametrize("run", ["learned", "relu", "rope"])
    def test_runs_of_earlier_versions_write_what_generate_writes(self, browse, run):
        saved = load_model(Path(__file__).parents[1] / "data" / run)
        tab = opened(browse, saved)
        typed(tab, "")
        tab.get_by_label("Temperature").fill("0")
        tab.get_by_label("Characters").fill("100")
        tab.keyboard.press("Control+Enter")
        written(tab)
        assert text_of(tab) == Model(saved, "reference", Log()).network.generate(length=100, temperature=0)

    def test_a_seed_repeats_and_another_does_not(self, browse, model):
        tab, texts = opened(browse, model), []
        tab.get_by_label("Characters").fill("40")
        for _ in range(2):
            typed(tab, "A")
            tab.get_by_role("button", name="Write on").click()
            written(tab)
            texts.append(text_of(tab))
        tab.get_by_role("button", name="Try another seed").click()
        written(tab)
        assert tab.get_by_label("Seed").input_value() == "1"
        assert texts[0] == texts[1] != text_of(tab)
        assert {len(text) for text in (*texts, text_of(tab))} == {41}

    def test_top_k_of_one_is_the_likeliest(self, browse, model):
        tab = opened(browse, model)
        typed(tab, "A")
        tab.get_by_label("Top-k").fill("1")
        tab.get_by_label("Characters").fill("30")
        tab.get_by_role("button", name="Write on").click()
        written(tab)
        assert text_of(tab) == "A" + on_backend(model).generate("A", 30, temperature=0)

    def test_escape_stops_it(self, browse, model):
        tab = opened(browse, model)
        typed(tab, "A")
        tab.get_by_label("Characters").fill("1000000")
        tab.get_by_role("button", name="Write on").click()
        while len(text_of(tab)) < 20:
            tab.wait_for_timeout(10)
        tab.keyboard.press("Escape")
        written(tab)
        length = len(text_of(tab))
        assert length < 100_000
        tab.wait_for_timeout(100)
        assert len(text_of(tab)) == length

    def test_heads_are_as_wide_as_they_are_and_can_be_switched_off(self, browse, model):
        tab = opened(browse, model)
        typed(tab, TEXT)
        wide, narrow = (tab.get_by_label(f"Layer 2, head {h}, width {D}") for h, D in ((7, 32), (5, 8)))
        assert wide.bounding_box()["width"] == pytest.approx(4 * narrow.bounding_box()["width"], rel=0.05)
        wide.click()
        read(tab)
        without = dataclasses.replace(model, weights=model.weights.copy())
        views(without.weights, table(model.architecture.sizes)).proj_w[1, 32:64] = 0
        whole, cut = (on_backend(one).losses(TEXT).mean() / math.log(2) for one in (model, without))
        difference = f"{abs(cut - whole):.3f} {'more' if cut > whole else 'less'}"
        assert tab.locator("#loss").inner_text() == (
            f"1 of 14 heads is off: {cut:.3f} bits per character, {difference} than with all of them on."
        )
        assert wide.get_attribute("aria-pressed") == "false"
        tab.get_by_role("button", name="Switch all on").click()
        read(tab)
        assert tab.locator("#loss").inner_text() == f"All 14 heads are on: {whole:.3f} bits per character."

    def test_each_head_is_weighed_by_what_the_text_costs_without_it(self, browse, model):
        tab = opened(browse, model)
        typed(tab, TEXT)
        tab.get_by_role("button", name="Weigh each head").click()
        tab.locator("html[data-weighed='14']").wait_for(state="attached")
        worth = re.search(r"worth (\S+) bits", tab.get_by_label("Layer 2, head 7").get_attribute("title"))[1]
        assert tab.get_by_label("Layer 2, head 7").inner_text().split() == ["2.7", worth]
        assert tab.locator("#worths span").count() == (
            3 if "hinders" in tab.locator("#heads").inner_html() else 2
        )
        tab.get_by_label("Layer 2, head 7").click()
        read(tab)
        change = f"{worth[1:]} less than" if worth[0] == "\u2212" else f"{worth} more than"
        assert change in tab.locator("#loss").inner_text()
        typed(tab, TEXT + "!")
        assert tab.locator("#weighed").is_hidden()
        assert tab.get_by_label("Layer 2, head 7").inner_text() == "2.7"

    def test_arrow_keys_go_from_head_to_head(self, browse, model):
        tab = opened(browse, model)
        tab.get_by_label("Layer 1, head 1, width 1").focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Enter"):
            tab.keyboard.press(key)
        assert tab.get_by_label("Layer 1, head 2, width 1").get_attribute("aria-pressed") == "false"

    def test_characters_that_it_does_not_know_are_named(self, browse, model):
        tab = opened(browse, model)
        typed(tab, "A ~quiet~ p\u00e4ge")
        assert tab.locator("#unknown").inner_text() == (
            "The model does not know ~, \u00e4, and reads the text without them."
        )
        known = on_backend(model).losses("A quiet pge").mean() / math.log(2)
        assert tab.locator("#bits").inner_text() == f"{known:.2f}"
        typed(tab, "A quiet page")
        assert tab.locator("#unknown").is_hidden()

    @pytest.mark.parametrize(
        "text", [LETTERS * 9, "e\u0301\U0001f468\u200d\U0001f469\u05d0\u05d1 a\t\tb " * 30, "\n" * 9]
    )
    def test_the_colours_lie_behind_their_characters(self, browse, model, text):
        tab = opened(browse, model)
        typed(tab, text)
        heights = tab.evaluate(
            "['text', 'behind'].map(byId).map((one) => [one.scrollHeight, one.clientHeight, one.clientWidth])"
        )
        assert heights[0] == heights[1]
        assert heights[0][0] == heights[0][1]

    def test_a_hostile_vocabulary_of_5000_characters_breaks_nothing(self, browse):
        many = {chr(code) for code in range(0x4E00, 0x4E00 + 5000)}
        model = held(many | set(HOSTILE + "</script>"), d_model=16, seq_len=64)
        name = "</title><script>throw 1</script>\u202e\ud800\0"
        tab = browse(play_page(model, name))
        written(tab)
        assert tab.evaluate("document.querySelectorAll('main').length + document.scripts.length") == 1 + 2 + 7
        assert tab.locator("h1").evaluate("(h1) => h1.childElementCount") == 0
        typed(tab, HOSTILE + "</script>")
        known = on_backend(model).losses(HOSTILE + "</script>").mean() / math.log(2)
        assert tab.locator("#unknown").is_hidden()
        assert tab.locator("#bits").inner_text() == f"{known:.2f}"
        assert tab.locator("#next button").count() == 10
        tab.get_by_role("button", name="Write on").click()
        written(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1400

    def test_what_is_left_out_is_said(self, browse, monkeypatch, model):
        tab = opened(browse, model)
        assert tab.locator("#ngrams").is_hidden()
        monkeypatch.setattr(play, "ngram_order", lambda saved: 6)
        tab = opened(browse, model)
        assert re.match("This page shows the network alone.* 6-grams", tab.locator("#ngrams").inner_text())

    def test_it_looks_as_it_should(self, browse, shoot, model):
        tab = opened(browse, model)
        typed(tab, TEXT)
        tab.get_by_label("Layer 2, head 7").click()
        read(tab)
        shoot(tab, "play")
        tab = opened(browse, held("ab \n", heads="ones"), width=PHONE)
        shoot(tab, "play-ones")
