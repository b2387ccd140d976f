"""The page of an X-ray in a browser: what it shows are the numbers of --json and of the backend."""

import dataclasses
import math
import re

import numpy as np
import pytest
from browser import NEEDS_A_BROWSER, PHONE
from saved_examples import arrays_of, model_of

from microgpt.api.log import Log
from microgpt.api.model import Model
from microgpt.model.parameters import count, table
from microgpt.page import xray_page as module
from microgpt.page.page import asset, document
from microgpt.page.play import without_ngrams
from microgpt.page.weights import model_data
from microgpt.page.xray_page import assembled, xray_page
from microgpt.text.vocabulary import Vocabulary
from microgpt.xray.as_json import as_json

pytestmark = NEEDS_A_BROWSER
OPTIONS = {"seq_len": 6, "d_model": 8, "heads": "1+2+5 | 4+4", "positions": "rope", "token_shift": True}
# of the vocabulary of saved_examples; longer than four windows
TEXT = 'ab\U0001f600 !à€"\nbba a!\U0001f600ba" abba\naà'
MINUS = "\u2212"


class Shown:
    """A model with random weights, its X-ray as JSON, and the page of both."""

    def __init__(self, saved, text, **options):
        param = 0.5 * arrays_of(saved)[0]
        self.model, self.text = Model(saved, "reference", Log(), param=param), text
        self.json = as_json(self.model.xray(text, **options))
        self.data = model_data(saved.architecture, saved.vocabulary, param)
        self.page = assembled(self.json, self.data)


@pytest.fixture(scope="module")
def shown():
    return Shown(model_of(**OPTIONS), TEXT, shapley=True)


def point_at(tab, at):
    tab.locator(f"#text [data-at='{at}']").hover()


def bars(tab, place):
    """The names and the numbers of some bars."""
    return list(
        zip(
            tab.locator(f"#{place} .name").all_inner_texts(),
            tab.locator(f"#{place} .number").all_inner_texts(),
            strict=True,
        )
    )


def read(number):
    return float(number.replace(MINUS, "-").replace("+", ""))


def busy(tab):
    """Wait until the model has read the whole text."""
    tab.wait_for_selector("#loss[aria-busy=false]")


def test_heads_are_as_wide_as_they_are_and_say_what_was_measured(browse, shown):
    tab = browse(shown.page)
    boxes = tab.locator(".head")
    widths = [box.bounding_box()["width"] for box in boxes.all()]
    unit = widths[0]
    assert widths == pytest.approx([unit, 2 * unit, 5 * unit, 4 * unit, 4 * unit], rel=0.01)
    assert boxes.nth(0).bounding_box()["y"] > boxes.nth(3).bounding_box()["y"], "the first layer is below"
    for measure, key in (("ablation", "mean"), ("zero", "zero")):
        tab.select_option("#measure", measure)
        titles = [box.get_attribute("title") for box in boxes.all()]
        values = [head["ablation"][key]["bits"] for head in shown.json["heads"]]
        assert np.allclose([read(title.split()[-1]) for title in titles], values, atol=6e-5)


def test_a_head_is_chosen_by_clicks_and_keys(browse, shown):
    tab = browse(shown.page)
    tab.locator(".head").nth(1).click()
    assert tab.inner_text("#head-name") == "Layer 1, head 2"
    chosen = []
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowRight", "ArrowDown"):
        tab.keyboard.press(key)
        chosen.append(tab.locator(".head[aria-pressed=true]").get_attribute("data-head"))
    assert chosen == ["0", "3", "4", "4", "2"]
    assert tab.evaluate("document.activeElement.dataset.head") == "2"


def test_a_character_says_what_it_cost_what_was_likelier_and_who_contributed(browse, shown):
    tab = browse(shown.page)
    characters = list(TEXT)
    logits = shown.model.logits(TEXT)
    # within a window, the first after one, and the last
    for at in (3, 7, len(characters) - 1):
        point_at(tab, at)
        p = np.exp(logits[at - 1]) / np.exp(logits[at - 1]).sum()
        assert tab.inner_text("#surprise").startswith(f"{shown.json['bits'][at - 1]:.2f} bits")
        best = np.argsort(-p)[:5]
        assert [read(number.rstrip("%")) for _, number in bars(tab, "likeliest")] == pytest.approx(
            100 * p[best], abs=0.51
        )
        found = bars(tab, "contributions")
        assert [name.removeprefix("head ") for name, _ in found] == shown.json["attribution"]["parts"]
        expected = shown.json["attribution"]["logits"][at - 1]
        assert [read(number) for _, number in found] == pytest.approx(expected, abs=0.006)


def test_under_the_characters_stands_how_much_the_head_looks_at_them(browse, shown):
    tab = browse(shown.page)
    tab.locator(".head").nth(2).click()
    point_at(tab, 11)  # predicted from the characters 6 to 10
    looked = tab.locator("#text .looked")
    assert [span.get_attribute("data-at") for span in looked.all()] == ["6", "7", "8", "9", "10"]
    weights = [float(span.evaluate("span => span.style.getPropertyValue('--look')")) for span in looked.all()]
    assert sum(weights) == pytest.approx(1, abs=0.01)
    most = int(np.argmax(weights))
    assert tab.inner_text("#looks").split("looks: ")[1].startswith(f"{100 * weights[most]:.0f}%")


def test_the_loss_follows_heads_that_are_switched_off(browse, shown):
    tab = browse(shown.page)
    for index in (2, 3):
        tab.locator(".head").nth(index).click()
        tab.keyboard.press("x")
        busy(tab)
        change, direction = re.search(r", (\S+) (more|less) \(", tab.inner_text("#change")).groups()
        zero = shown.json["heads"][index]["ablation"]["zero"]["bits"]
        assert float(change) * (1 if direction == "more" else -1) == pytest.approx(zero, abs=0.002)
        tab.click("#all-on")
        busy(tab)
        assert read(tab.inner_text("#loss")) == pytest.approx(shown.json["total"]["bits"], abs=6e-4)


def test_all_follows_another_text(browse, shown):
    tab = browse(shown.page)
    typed = 'aa\U0001f600z!\n"à b'
    tab.fill("#typed", typed)
    busy(tab)
    known = typed.replace("z", "")
    assert "know z" in tab.inner_text("#unknown")
    losses = shown.model.losses(known) / math.log(2)
    assert read(tab.inner_text("#loss")) == pytest.approx(losses.mean(), abs=6e-4)
    point_at(tab, 5)
    assert tab.inner_text("#surprise").startswith(f"{losses[4]:.2f} bits")
    tab.click("#back")
    busy(tab)
    assert read(tab.inner_text("#loss")) == pytest.approx(shown.json["total"]["bits"], abs=6e-4)


def test_heads_are_weighed_on_another_text(browse, shown):
    tab = browse(shown.page)
    assert not tab.locator("#weigh").is_visible()
    typed = 'aa\U0001f600!\n"à bab ba'
    tab.fill("#typed", typed)
    tab.click("#weigh")
    values = tab.locator(".head-value")
    tab.wait_for_selector("[data-head='4'] .head-value:not(:text-is('–'))")
    expected = [head["ablation"]["zero"]["bits"] for head in as_json(shown.model.xray(typed))["heads"]]
    assert [read(value) for value in values.all_text_contents()] == pytest.approx(expected, abs=6e-4)
    tab.click("#back")
    assert tab.input_value("#measure") == "ablation"


def test_what_is_said_of_a_head_is_of_the_measured_text(browse, shown):
    tab = browse(shown.page)
    assert "measured text" not in tab.inner_text("#head-is")
    assert tab.inner_text("#head-is").startswith("It is")
    tab.fill("#typed", "ab")
    assert "On the measured text it is " in tab.inner_text("#head-is")
    tab.fill("#typed", "")
    assert not tab.locator("#expected, #contributed, #written").filter(visible=True).count()


def test_the_page_says_in_short_what_it_found(browse, shown):
    measured = ((0.5, 0.4), (0.01, -0.1), (0.25, 0.1), (0.0, -1.0), (0.25, 0.2))
    worths = [{"bits": bits, "low": low, "high": bits + 0.1} for bits, low in measured]
    heads = [
        head | {"ablation": head["ablation"] | {"mean": worth}}
        for head, worth in zip(shown.json["heads"], worths, strict=True)
    ]
    tab = browse(assembled(shown.json | {"heads": heads}, None))
    assert tab.inner_text("#in-short") == (
        "Head 1.1 is worth most, 0.500 bits per character; heads 1.2 and 2.1 are worth nothing measurable."
    )
    assert tab.locator(".head-value").nth(3).text_content() == "0.000"
    links = [link.get_attribute("href") for link in tab.locator("nav a").all()]
    assert links == ["#heads-title", "#text-title", "#head-name", "#tables-title"]
    assert all(tab.locator(link).count() == 1 for link in links)


def test_what_is_not_0_does_not_look_like_it(browse):
    tab = browse(document("a page", "", scripts=[asset("elements.js")]))
    values = "[0, -0.0003, 0.0003, 0.0006, -1].map((value) => brief(value, 3))"
    assert tab.evaluate(values) == ["0.000", "\u2248 0", "\u2248 0", "0.001", f"{MINUS}1.000"]


def test_the_triangle_marks_the_two_characters_under_the_pointer(browse, shown):
    tab = browse(shown.page)
    canvas = tab.locator("#attention")
    canvas.scroll_into_view_if_needed()
    tab.click("#text [data-at='11']")  # holds it, so that only the pointer changes
    box = canvas.bounding_box()
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    canvas.hover(position={"x": box["width"] * 0.3, "y": box["height"] * 0.9})
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before
    tab.mouse.move(0, 0)
    assert canvas.evaluate("canvas => canvas.toDataURL()") == before


@pytest.mark.parametrize(("field", "value"), [("temperature", "-3"), ("temperature", ""), ("top-k", "-1")])
def test_a_setting_that_cannot_be_is_refused(browse, shown, field, value):
    tab = browse(shown.page)
    tab.fill(f"#{field}", value)
    tab.click("#write")
    assert tab.evaluate("document.activeElement.id") == field
    assert tab.input_value("#typed") == TEXT


def test_the_model_writes_on_as_generate_does(browse, shown):
    tab = browse(shown.page)
    tab.fill("#typed", "ab")
    tab.fill("#temperature", "0")
    tab.click("#write")
    tab.get_by_role("button", name="Let the model write on").wait_for()
    assert tab.input_value("#typed") == "ab" + shown.model.generate("ab", 200, temperature=0)


def test_tables_are_sorted_and_copied(browse, shown):
    tab = browse(shown.page)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.locator("#table-worth th").get_by_text("bits", exact=True).click()
    bits = [head["ablation"]["mean"]["bits"] for head in shown.json["heads"]]
    names = [f"{head['layer'] + 1}.{head['head'] + 1}" for head in shown.json["heads"]]
    order = np.argsort(-np.array(bits), kind="stable")
    assert tab.locator("#table-worth tbody th").all_inner_texts() == [names[i] for i in order]
    tab.locator("#table-worth .copy").click()
    tab.get_by_text("Copied").wait_for()
    lines = tab.evaluate("navigator.clipboard.readText()").splitlines()
    column = lines[0].split("\t").index("bits")
    assert [float(line.split("\t")[column]) for line in lines[1:]] == [bits[i] for i in order]
    tab.locator("#table-worth tbody tr").nth(0).click()
    assert tab.locator(".head[aria-pressed=true]").get_attribute("data-head") == str(order[0])


def test_an_edge_fades_where_more_is_hidden(browse, shown):
    tab = browse(shown.page, width=PHONE)
    table = tab.locator("#table-worth .scrolls")
    fade = "one => parseFloat(getComputedStyle(one).getPropertyValue('--fade'))"
    assert table.evaluate(fade) > 0
    name = table.locator("tbody th").first
    before = name.bounding_box()["x"]
    table.evaluate("async one => { one.scrollLeft = 1e6; await new Promise(requestAnimationFrame); }")
    assert table.evaluate(fade) == 0
    assert name.bounding_box()["x"] == pytest.approx(before, abs=1), "the first column stays"
    tab.set_viewport_size({"width": 2000, "height": 900})
    assert table.evaluate(fade) == 0


def test_a_long_text_is_to_be_scrolled(browse, shown):
    tab = browse(shown.page)
    assert tab.inner_text("#text-length") == f"{len(TEXT)} characters"
    tab.fill("#typed", "ab\n" * 100)
    assert tab.inner_text("#text-length") == "300 characters; scroll in the box to read on"


def test_what_is_about_all_heads_is_drawn_from_the_same_numbers(browse, shown):
    tab = browse(shown.page)
    assert f"{shown.json['gini']:.2f}" in tab.inner_text("#gini")
    points = tab.locator("#lorenz polyline").get_attribute("points").split()
    x, y = np.array([point.split(",") for point in points], float).T
    shares = np.array(shown.json["lorenz"])
    assert np.allclose((x - x[0]) / (x[-1] - x[0]), shares[:, 0], atol=1e-3)
    assert np.allclose((y - y[0]) / (y[-1] - y[0]), shares[:, 1], atol=1e-3)
    together = np.triu(np.abs(shown.json["interactions"]), 1)
    one, other = divmod(int(together.argmax()), 5)
    names = [f"{head['layer'] + 1}.{head['head'] + 1}" for head in shown.json["heads"]]
    row = tab.locator("#table-interactions tbody tr").nth(0).locator("th, td").all_inner_texts()
    assert row[:2] == [names[one], names[other]]
    assert read(row[2]) == pytest.approx(shown.json["interactions"][one][other], abs=6e-5)
    best = max(shown.json["composition"], key=lambda pair: pair["excess"])
    row = tab.locator("#table-composition tbody tr").nth(0).locator("th, td").all_inner_texts()
    assert (row[0], row[2]) == (names[best["to"]], names[best["from"]])
    assert read(row[3]) == pytest.approx(best["excess"], abs=6e-4)


def test_without_the_model_the_measured_numbers_are_there(browse, shown):
    tab = browse(assembled(shown.json, None, ["There is no model in this page."]))
    assert "There is no model" in tab.inner_text(".notice")
    assert not tab.locator("#typed").is_visible()
    assert not tab.locator("#attention").is_visible()
    point_at(tab, 9)
    assert tab.inner_text("#surprise").startswith(f"{shown.json['bits'][8]:.2f} bits")
    numbers = [read(number) for _, number in bars(tab, "contributions")]
    assert numbers == pytest.approx(shown.json["attribution"]["logits"][8], abs=0.006)


MARKUP = "</script><script>x=1</script><!--<b>\"'&amp;\\`${x}"
HOSTILE = MARKUP + "\U0001f600\u05d0\u0645\u202e\u2028\u0301\t\r\n\x01\x7f"


def test_no_text_breaks_the_page(browse, shoot):
    vocabulary = Vocabulary("".join(sorted({*HOSTILE, *map(chr, range(0x4E00, 0x4E00 + 5000))})))
    saved = model_of(**OPTIONS)
    architecture = dataclasses.replace(saved.architecture, vocabulary_size=len(vocabulary))
    hostile = Shown(dataclasses.replace(saved, architecture=architecture, vocabulary=vocabulary), HOSTILE * 2)
    hostile.json["run"]["name"] = HOSTILE
    tab = browse(assembled(hostile.json, hostile.data))
    assert tab.evaluate("typeof x") == "undefined"
    assert tab.evaluate("Chosen.text.join('')") == HOSTILE * 2
    for at in range(1, len(HOSTILE)):
        point_at(tab, at)
        assert tab.inner_text("#surprise").startswith(f"{hostile.json['bits'][at - 1]:.2f} bits")
    tab.fill("#typed", HOSTILE[::-1])
    busy(tab)
    tab.click("#back")
    assert tab.evaluate("Chosen.text.join('')") == HOSTILE * 2
    shoot(tab, "xray-hostile")


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_lines_end_in_a_typed_text_as_in_the_models_own(browse, end):
    """A text field makes a line feed of every line end."""
    vocabulary = Vocabulary("".join(sorted({*"ab ", *end})))
    saved = model_of(**OPTIONS)
    architecture = dataclasses.replace(saved.architecture, vocabulary_size=len(vocabulary))
    text = f"ab{end}b a{end}"
    shown = Shown(dataclasses.replace(saved, architecture=architecture, vocabulary=vocabulary), text)
    tab = browse(shown.page)
    tab.fill("#typed", text.replace(end, "\n"))
    busy(tab)
    assert tab.evaluate("Chosen.text.join('')") == text
    assert tab.inner_text("#unknown") == ""


# The number of heads of a layer, and the most bytes of a page with 2,000 characters of text.
SIZES = {"exponential": (7, 1_000_000), "ones": (64, 3_000_000)}


@pytest.mark.parametrize("heads", SIZES)
def test_a_page_of_the_default_sizes_is_small_and_soon_ready(browse, shown, heads):
    n_heads, most = SIZES[heads]
    saved = model_of(seq_len=128, d_model=64, d_ff=64, heads=heads)
    architecture = dataclasses.replace(saved.architecture, vocabulary_size=65)
    vocabulary = Vocabulary("".join(map(chr, range(32, 97))))
    param = np.random.default_rng(0).normal(0, 0.1, count(table(architecture.sizes)))
    # as long as one of 2,000 characters is, from the numbers of a small model
    one = shown.json["heads"][0]
    xray = shown.json | {
        "architecture": shown.json["architecture"] | {"vocabulary": vocabulary.characters, "T": 128, "C": 64},
        "text": "THE QUICK BROWN FOX " * 100,
        "bits": np.resize(shown.json["bits"], 1999).tolist(),
        "heads": [
            one | {"layer": layer, "head": head, "width": width, "first_column": head}
            for layer, widths in enumerate(architecture.heads)
            for head, width in enumerate(widths)
        ],
        "lorenz": [[i / n_heads / 2, i / n_heads / 2] for i in range(2 * n_heads + 1)],
        "interactions": np.resize(shown.json["interactions"], (2 * n_heads, 2 * n_heads)).tolist(),
        "composition": shown.json["composition"] * 80,
    }
    page = assembled(xray, model_data(architecture, vocabulary, param))
    assert len(page) < most
    # the best of three: the machine may have something else to do
    assert min(int(browse(page).evaluate("document.documentElement.dataset.ready")) for _ in range(3)) < 1000
    tab = browse(page)
    tab.locator(".head").nth(n_heads // 2).click()
    tab.keyboard.press("x")
    busy(tab)
    assert tab.inner_text("#change").startswith(f"Head 1.{n_heads // 2 + 1} writes nothing now: ")


def test_a_page_says_what_it_leaves_out(shown, monkeypatch):
    found, param = shown.model.xray(TEXT), shown.model.param
    small = xray_page(found, param)
    assert small == assembled(as_json(found), shown.data)
    assert "The model is not in this page" in xray_page(found, param, with_model=False)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    assert "--model puts it in all the same" in xray_page(found, param)
    assert xray_page(found, param, with_model=True) == small
    monkeypatch.setattr(module, "MOST_CHARACTERS", 10)
    assert "the first 10 characters are shown" in xray_page(found, param)
    with_ngrams = dataclasses.replace(found, run=found.run | {"ngrams": 3})
    assert without_ngrams(3) in xray_page(with_ngrams, param)


def test_the_page_is_looked_at(browse, shown, shoot):
    shoot(browse(shown.page), "xray")
