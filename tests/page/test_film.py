"""The film on the page of an X-ray, in a browser: what it shows are the numbers of --json."""

import numpy as np
import pytest
from browser import NEEDS_A_BROWSER
from saved_examples import arrays_of, model_of

from microgpt.api.log import Log
from microgpt.api.model import Model
from microgpt.page.xray_page import assembled
from microgpt.xray.as_json import as_json
from microgpt.xray.film import Film

pytestmark = NEEDS_A_BROWSER
STEPS = [0, 10, 40, 90, 160]
MINUS = "\u2212"


def test_names_at_the_ends_of_lines_do_not_lie_on_each_other(browse, xray):
    even = xray | {"film": xray["film"] | {"without_attention": xray["film"]["bits"]}}
    names = browse(assembled(even, None)).locator("#film-loss .line-name")
    one, other = sorted(float(name.get_attribute("y")) for name in names.all())
    assert other - one >= 14


@pytest.fixture(scope="module")
def xray():
    """The X-ray of a random model of five heads, with a made-up film. One head has no score of induction."""
    saved = model_of(seq_len=6, d_model=8, heads="1+2+5 | 4+4")
    found = as_json(Model(saved, "reference", Log(), param=0.5 * arrays_of(saved)[0]).xray("abba a!ba\n" * 3))
    random = np.random.default_rng(0)
    names = Film.__dataclass_fields__.keys() - {"steps", "bits", "without_attention"}
    of_heads = {name: random.normal(size=(5, 5)).round(4) for name in names}
    looks = ("previous", "first", "same", "newline", "word_start", "induction")
    heads = [
        {name: of_heads[name][:, h].tolist() for name in names - {*looks}}
        | {"patterns": {name: of_heads[name][:, h].tolist() for name in looks}}
        for h in range(5)
    ]
    heads[1]["patterns"]["induction"] = [None] * 5
    bits = {"bits": [4.0, 3.0, 2.5, 2.25, 2.125], "without_attention": [4.0, 3.5, 3.25, 3.125, 3.0625]}
    return found | {"film": {"steps": STEPS, **bits, "heads": heads}}


def read(number):
    return float(number.replace(MINUS, "-"))


def values_of(tab):
    titles = [box.get_attribute("title") for box in tab.locator("#film-heads .head").all()]
    return [read(title.split()[-1]) for title in titles]


def test_the_slider_shows_what_was_measured_after_its_step(browse, xray):
    tab, film = browse(assembled(xray, None)), xray["film"]
    assert tab.locator("#picture").input_value() == "4"
    for picture in (4, 0, 2):
        tab.locator("#picture").fill(str(picture))
        expected = [head["ablation"][picture] for head in film["heads"]]
        assert values_of(tab) == pytest.approx(expected, abs=1e-9)
        said = tab.inner_text("#after")
        assert said.startswith(
            f"After {STEPS[picture]} of 160 training steps: {film['bits'][picture]:.3f} bits"
        )
    tab.locator("#film-heads .head").nth(3).click()
    assert tab.inner_text("#after").endswith(
        f"of head 2.1: {film['heads'][3]['ablation'][2]:.4f}.".replace("-", MINUS)
    )
    tab.select_option("#filmed", "reach")
    assert values_of(tab) == pytest.approx([head["reach"][2] for head in film["heads"]], abs=0.006)


def test_curves_stand_at_the_square_roots_of_the_steps_and_move_the_slider(browse, xray):
    tab = browse(assembled(xray, None))
    curve = tab.locator("#film-curves polyline.chosen")
    points = [pair.split(",") for pair in curve.get_attribute("points").split()]
    x, y = np.array(points, float).T
    assert (x - x[0]) / (x[-1] - x[0]) == pytest.approx(np.sqrt(np.array(STEPS) / 160), abs=2e-3)
    chosen = xray["film"]["heads"][int(tab.evaluate("Chosen.head"))]["ablation"]
    slope, offset = np.polyfit(chosen, y, 1)
    assert y == pytest.approx(slope * np.array(chosen) + offset, abs=0.1)
    assert slope < 0, "more is higher"
    tab.locator("#film-loss svg").click(position={"x": float(x[1]) + 3, "y": 100})
    assert tab.locator("#picture").input_value() == "1"


def test_the_film_runs_to_its_end_and_what_was_not_measured_is_left_out(browse, xray, shoot):
    tab = browse(assembled(xray, None))
    tab.select_option("#filmed", "induction")
    assert tab.locator("#film-heads .head-value").nth(1).text_content() == "–"
    tab.click("#run-film")
    assert tab.inner_text("#run-film") == "Stop"
    tab.get_by_role("button", name="Run the film").wait_for()
    assert tab.locator("#picture").input_value() == "4"
    shoot(tab, "film")


def test_a_run_without_snapshots_has_no_film(browse, xray):
    assert browse(assembled(xray | {"film": None}, None)).locator("#film").count() == 0
