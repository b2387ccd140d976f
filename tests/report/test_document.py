"""The page as a file: its size, and names and samples that could break it."""

import json
import re
from dataclasses import replace

import pytest
from made_up_runs import report, write_run

from microgpt.errors import MicrogptError
from microgpt.report.document import MOST_RUNS, data_of, page
from microgpt.report.runs import read

HOSTILE = "</script><script>throw 1</script><!-- \u2028\u202e&quot;'\"\\ \0 \U0001f600 <b>"


def data_in(text):
    """What the script of the page reads."""
    (found,) = re.findall(r'<script type="application/json" id="report">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_the_page_carries_its_data_and_nothing_breaks_out(tmp_path):
    record = read(write_run(tmp_path / "run", samples=((50, HOSTILE),)))
    record.directory = tmp_path / "<script>alert(1)<"
    data = data_of([record], [False])
    text = page(data)
    assert data_in(text) == data
    assert data["runs"][0]["samples"][0]["text"].startswith(HOSTILE)
    assert HOSTILE not in text
    assert "<title>&lt;script&gt;alert(1)&lt;</title>" in text


@pytest.mark.parametrize("n_runs", [1, MOST_RUNS])
def test_a_page_stays_below_a_megabyte(tmp_path, n_runs):
    record = read(write_run(tmp_path / "run"))
    for step in range(200, 20_000):
        record.curves.add(report(step, loss=1 + 1 / 3, grad_norm=2 / 3, val_loss=1 / 7, elapsed_s=step / 7))
    record.samples += [(step, "\U0001f600" * 300) for step in range(200, 2000)]
    records = [replace(record, directory=tmp_path / f"{i}") for i in range(n_runs)]
    assert len(page(data_of(records, [False] * n_runs)).encode()) < 1_000_000


def test_more_runs_than_a_page_can_show_are_an_error(tmp_path):
    record = read(write_run(tmp_path / "run"))
    with pytest.raises(MicrogptError, match="at most 100 runs, and these are 101"):
        data_of([record] * (MOST_RUNS + 1), [False] * (MOST_RUNS + 1))
