"""The page of a report: what stands in it, and the one file that it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from microgpt import __version__
from microgpt.errors import MicrogptError
from microgpt.page.page import asset, document
from microgpt.report.runs import Record, different, names

SCRIPTS = (
    "scale.js", "chart.js", "intervals.js", "run.js", "curves.js", "tables.js", "race.js", "report.js",
)  # fmt: skip
STYLES = ("report.css",)
ROOM = "microgpt.report"  # where these files are
# So that a page stays below a megabyte, however many runs it shows and however long their logs are
MOST_RUNS = 100
POINTS, POINTS_OF_A_RUN = 3200, 1500  # of each curve: of all runs together, and of one
SAMPLES, SAMPLES_OF_A_RUN = 150, 30


def page(data: dict[str, Any]) -> str:
    """The text of the HTML file that shows these data."""
    title = ", ".join(each["name"] for each in (*data["runs"], *data["races"])[:3])
    return document(
        title,
        asset("report.html", ROOM),
        styles=[asset(name, ROOM) for name in STYLES],
        scripts=[asset(name, ROOM) for name in SCRIPTS],
        data={"report": data},
    )


def data_of(
    records: Sequence[Record],
    writing: Sequence[bool],
    races: Sequence[dict[str, Any]] = (),
    *,
    reload_seconds: float = 0.0,
    with_copies: bool = False,
) -> dict[str, Any]:
    """The data of a page with these runs and races.

    writing         of each run whether a process goes on with it
    reload_seconds  after how long the page is to look whether it has been written again; 0: never
    with_copies     whether copies in the samples are found, for which the texts of the runs are read

    Raises MicrogptError for more runs than a page can show.
    """
    n = len(records)
    if n > MOST_RUNS:
        raise MicrogptError(f"a report shows at most {MOST_RUNS} runs, and these are {n}: name fewer")
    n_points = min(POINTS_OF_A_RUN, POINTS // max(1, n))
    n_samples = min(SAMPLES_OF_A_RUN, max(1, SAMPLES // max(1, n)))
    called = names([record.directory for record in records])
    return {
        "format": 1,
        "microgpt": __version__,
        "written": round(time.time(), 1),
        "reload_seconds": reload_seconds,
        "different": different(records),
        "runs": [
            record.as_json(name, n_points, n_samples, writing=goes_on, with_copies=with_copies)
            for record, name, goes_on in zip(records, called, writing, strict=True)
        ],
        "races": list(races),
    }
