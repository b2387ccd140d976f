"""The page of a report in a browser: what is read there is what the run has logged."""

import time

import pytest
from browser import NEEDS_A_BROWSER
from made_up_runs import START, report, write_run
from racing import HEADS, TEXT, begun, hold_at_once

from microgpt.files import write_atomically
from microgpt.report import races
from microgpt.report.document import data_of, page
from microgpt.report.runs import read

pytestmark = NEEDS_A_BROWSER
HOSTILE = "</script><script>document.title = 'broken'</script><!-- &quot; '\" \u202e \u2028 \U0001f600"


@pytest.fixture
def single(tmp_path):
    return read(write_run(tmp_path / "single", lr=0.01, starts=(START, START | {"step": 30})))


@pytest.fixture
def several(tmp_path, single):
    steep = read(write_run(tmp_path / "steep", range(5, 61, 5), lr=0.02, warmup=3))
    return [single, steep]


def text_of(records, **others):
    return page(data_of(records, [False] * len(records), **others))


def said(tab, chart="loss"):
    """What the cursor of a chart is at."""
    return tab.locator(f"#chart-{chart} output").text_content()


def test_the_charts_show_what_was_logged(browse, shoot, single):
    tab = browse(text_of([single]))
    assert tab.locator("h1").text_content() == "single"
    assert "1.1200" in tab.locator("#numbers").text_content()
    assert "training, smoothed1.5200" in tab.locator("#numbers").text_content()
    assert "outer-lr" not in tab.locator("#configuration").text_content()
    loss = tab.locator("#chart-loss svg")
    loss.press("End")
    last = report(100)
    assert said(tab) == f"step 100, training {last['loss']:.4f}, validation {last['val_loss']:.4f}"
    loss.press("ArrowLeft")
    assert said(tab).startswith(f"step 95, training {report(95)['loss']:.4f}, ")
    tab.locator("#chart-norm svg").press("Home")
    assert said(tab, "norm") == f"step 5, gradient norm {report(5)['grad_norm']}"
    # the pointer finds the same, beside the lines to compare with and where the run was resumed
    loss.hover(position={"x": loss.bounding_box()["width"] - 12, "y": 50})
    assert f"{last['loss']:.4f}" in tab.locator("#chart-loss .values").text_content()
    words = loss.text_content()
    for name in (
        "guessing: ln V 2.996",
        "unigram entropy 2.700",
        "bigram entropy 2.100",
        "resumed at step 30",
    ):
        assert name in words
    assert "entropy of the source" not in words
    shoot(tab, "report-of-a-run")


def test_the_axes_and_the_smoothing_are_the_readers_choice(browse, single):
    tab = browse(text_of([single]))
    loss = tab.locator("#chart-loss svg")
    for axis, where in (("chars", "1,600 characters"), ("elapsed_s", "0.8 s"), ("step", "step 100")):
        tab.locator("#x-axis").select_option(axis)
        loss.press("End")
        assert said(tab).startswith(f"{where}, training 1.0200")
    places = loss.locator(".axes text").all_text_contents()
    tab.locator("#log-y").check()
    assert loss.locator(".axes text").all_text_contents() != places
    tab.locator("#log-x").check()
    tab.locator("#smoothing").fill("8")
    loss.press("Home")
    assert said(tab).startswith("step 5, training 1.4000")  # the first has none before it
    loss.press("End")
    assert 1.02 < float(said(tab).split("training ")[1].split(",")[0]) < 1.2
    # a stretch that the mouse is drawn across, and back
    tab.locator("#log-x").uncheck()
    box = loss.bounding_box()
    middle, height = box["x"] + box["width"] / 2, box["y"] + 100
    tab.mouse.move(middle, height)
    tab.mouse.down()
    tab.mouse.move(middle + 100, height, steps=3)
    tab.mouse.up()
    loss.press("Home")
    assert 50 <= int(said(tab).split(",")[0].removeprefix("step ")) <= 60
    tab.get_by_role("button", name="Show all again").click()
    loss.press("Home")
    assert said(tab).startswith("step 5,")


def test_several_runs_lie_over_each_other(browse, shoot, several):
    tab = browse(text_of(several))
    assert tab.locator("h1").text_content() == "2 runs"
    assert tab.locator("#lede").text_content() == "They differ in lr, warmup."
    loss = tab.locator("#chart-loss svg")
    loss.press("End")
    assert said(tab) == "step 100, single, training 1.0200, single, validation 1.1200"
    tab.locator("#part").select_option("0.5")
    loss.press("Home")
    assert said(tab).startswith("step 50, single, training 1.0400, ")
    assert "steep, training 1.0400, steep, validation " in said(tab)
    tab.locator("#part").select_option("1")
    first = tab.locator("#compared tbody tr").first
    assert "single" in first.text_content()
    tab.get_by_role("button", name="steps done").click()
    assert "steep" in first.text_content()
    shoot(tab, "report-of-runs")
    tab.get_by_role("button", name="single").click()
    loss.press("End")
    assert "single" not in said(tab)


def test_what_is_of_network_and_ngrams_together_is_said(browse, tmp_path, single):
    mixed = read(write_run(tmp_path / "mixed", ngrams=6))
    for step in (110, 120):
        mixed.curves.add(report(step, val_loss=1.25, network_val_loss=1.5, ngram_weight=0.5))
    tab = browse(text_of([mixed]))
    numbers = tab.locator("#numbers").text_content()
    assert "validation of network and n-grams, nats per character1.2500" in numbers
    assert "validation of the network alone1.5000" in numbers
    tab = browse(text_of([single, mixed]))
    heads = tab.locator("#compared th").all_text_contents()
    rows = [row.locator("td").all_text_contents() for row in tab.locator("#compared tbody tr").all()]
    assert [row[heads.index("network alone")] for row in rows] == ["1.1200", "1.5000"]
    assert "validation is of network and n-grams together" in tab.locator("#comparison-said").text_content()
    titles = tab.locator("#configuration tbody th").all_text_contents()
    assert "ngrams" in titles
    assert "local-steps" not in titles  # no run has a value for it


def test_copies_in_samples_are_underlined(browse, tmp_path):
    record = read(write_run(tmp_path / "run"))
    data = data_of([record], [False])
    longest = {"begin": 1, "end": 3, "offset": 9, "line": 4191}
    told = {"text": "t", "longer_than": 1, "share": 0.25, "longest": longest, "spans": [[1, 3], [4, 5]]}
    data["runs"][0]["samples"] = [{"step": 100, "text": "\U0001f600abcde\nf", "copies": told}]
    data["runs"][0]["n_samples"] = 1
    tab = browse(page(data))
    assert tab.locator(".sample u").all_text_contents() == ["ab", "d"]
    assert tab.locator(".sample").text_content() == "\U0001f600abcde\nf"
    assert "25% is copied; longest 2 characters, from line 4,191" in tab.locator("#samples").text_content()
    assert "--sample-every 500 keeps more" in tab.locator("#samples-said").text_content()


def test_no_name_and_no_sample_breaks_the_page(browse, tmp_path):
    record = read(write_run(tmp_path / "run", samples=((50, HOSTILE), (100, "\0\x1b[31m\u05d0"))))
    record.directory = tmp_path / "<img src=x onerror=alert(1)>"
    tab = browse(text_of([record]))
    assert tab.title() == tab.locator("h1").text_content() == "<img src=x onerror=alert(1)>"
    assert tab.locator(".sample").first.text_content().rstrip() == HOSTILE
    assert tab.locator("img").count() == 0


def test_a_page_of_a_run_that_goes_on_shows_the_news_and_keeps_the_choices(browse, tmp_path):
    record = read(write_run(tmp_path / "run", range(1, 31)))
    file = tmp_path / "page.html"
    write_atomically(file, page(data_of([record], [True], reload_seconds=1.0)).encode())
    tab = browse(file)
    tab.evaluate("dispatchEvent(new Event('pointerdown'))")  # a page does not change under a finger
    assert tab.locator("#notice").text_content().startswith("The run goes on.")
    tab.locator("#x-axis").select_option("chars")
    tab.locator("#log-y").check()
    top = tab.evaluate("scrollTo(0, 600), document.getElementById('chart-loss').getBoundingClientRect().top")
    for step in range(31, 101):
        record.curves.add(report(step))
    write_atomically(file, page(data_of([record], [False])).encode())
    tab.evaluate("dispatchEvent(new Event('pointerup'))")
    tab.locator("#numbers dd", has_text="1.1200").wait_for()
    assert tab.locator("#notice").is_hidden()
    now = tab.evaluate("document.getElementById('chart-loss').getBoundingClientRect().top")
    assert abs(now - top) < 2
    assert tab.locator("#log-y").is_checked()
    tab.locator("#chart-loss svg").press("End")
    assert said(tab).startswith("1,600 characters, training 1.0200")


def test_a_page_that_nobody_writes_any_more_is_not_loaded_for_ever(browse, tmp_path):
    record = read(write_run(tmp_path / "run", range(1, 31)))
    data = data_of([record], [True], reload_seconds=0.05) | {"written": time.time() - 3600}
    tab = browse(page(data))
    tab.evaluate("window.mark = 1")
    tab.wait_for_timeout(300)
    assert tab.evaluate("window.mark") == 1
    assert tab.locator("#notice").text_content().startswith("The run was going on when")


def test_a_race_is_shown_with_its_intervals_and_pairs(browse, shoot, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    directory = begun(tmp_path / "race", tmp_path / "text.txt")
    hold_at_once(directory)
    told = races.as_json(races.read(directory), "race", directory)
    tab = browse(page(data_of([], [], [told])))
    assert tab.locator("strong").text_content() == f"{HEADS[1]} is better than {HEADS[0]}."
    means, pairs = tab.locator(".charts svg").all()
    (judgement,) = told["findings"][0]["judgements"]
    for each in judgement["standings"]:
        (low, high), mean = each["interval"], each["mean"]
        assert f"{each['name']}: {mean:.4f}, {low:.4f} to {high:.4f}" in means.text_content()
    assert f"{judgement['pairs'][0]['difference']:.4f}".replace("-", "−") in pairs.text_content()
    tab.get_by_text("All pairs in a table").click()
    cells = tab.locator("details[open] tbody td").all_text_contents()
    pair, difference, *others = judgement["tables"][1]["rows"][0]
    assert cells[:2] == [pair.replace(" - ", " − "), difference.replace("-", "−")]
    assert cells[2:] == [cell.replace("-", "−") for cell in others]
    assert "the intervals are narrower than they should be" in tab.locator(".race").text_content()
    assert tab.locator(".race .curve").count() == len(HEADS)
    shoot(tab, "report-of-a-race")
