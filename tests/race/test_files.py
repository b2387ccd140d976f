"""The files beside the results of a race."""

import csv
import json
import random

import pytest
from made_up_races import bits_in, held, same_seconds, small_plan
from sentences import error_of

from microgpt.race import files
from microgpt.race.files import COLUMNS, REPORT_FILE, RUNS_FILE, write_files
from microgpt.race.report import report
from microgpt.race.runs import FIRST_TUNING_SEED, entries, purposes


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None)


def rows_and_more(failing=0):
    plan = small_plan()
    seconds = same_seconds(plan, ones=0.002)
    rows = held(
        plan, lambda run: float("inf") if run.config.seed == failing else 2 + run.config.seed / 1e7, seconds
    )
    bits = bits_in(rows)
    return rows, purposes(entries(plan), bits, seconds), report(plan, rows, bits, seconds, {})


def test_the_table_has_every_run(tmp_path, without_figures):
    rows, counts_for, found = rows_and_more(failing=3)
    write_files(tmp_path, rows, counts_for, found, lambda text: None)
    with (tmp_path / RUNS_FILE).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows)
    assert tuple(table[0]) == COLUMNS
    by_run = {(row["entrant"], row["lr"], row["seed"], row["steps"]): row for row in rows.values()}
    for line in table:
        row = by_run.pop((line["entrant"], float(line["lr"]), int(line["seed"]), int(line["steps"])))
        assert line["bits"] == ("" if row["bits"] is None else str(row["bits"]))
        assert line["problem"] == (row["problem"] or "")
        assert line["condition"] == "poem"
        is_tuning = int(line["seed"]) >= FIRST_TUNING_SEED
        kinds = ("tuning",) if is_tuning else ("equal steps", "equal seconds", "equal steps and seconds")
        assert line["counts_for"] in kinds
    kinds = {(line["entrant"], line["counts_for"]) for line in table}
    assert {kind for name, kind in kinds if name == "uniform"} == {"tuning", "equal steps and seconds"}
    assert {kind for name, kind in kinds if name == "ones"} == {"tuning", "equal steps", "equal seconds"}
    assert not by_run


def test_the_files_do_not_depend_on_which_run_was_done_first(tmp_path, without_figures):
    """Also where runs of an entrant differ in their steps alone, as those with equal seconds do."""
    rows, counts_for, found = rows_and_more()
    write_files(tmp_path, rows, counts_for, found, lambda text: None)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {RUNS_FILE, REPORT_FILE}
    mixed = list(rows.items())
    for seed in range(5):
        random.Random(seed).shuffle(mixed)
        write_files(tmp_path, dict(mixed), counts_for, found, lambda text: None)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_report_is_json(tmp_path, without_figures):
    def no_constants(name):
        raise AssertionError(f"{name} is not JSON")

    rows, counts_for, found = rows_and_more(failing=3)
    write_files(tmp_path, rows, counts_for, found, lambda text: None)
    values = json.loads((tmp_path / REPORT_FILE).read_text(), parse_constant=no_constants)
    assert values == json.loads(json.dumps(found.as_json()))
    assert values["notes"]


def test_without_matplotlib_it_is_said_how_to_get_figures(tmp_path, without_figures):
    rows, counts_for, found = rows_and_more()
    told = []
    assert write_files(tmp_path, rows, counts_for, found, told.append) == [
        tmp_path / RUNS_FILE,
        tmp_path / REPORT_FILE,
    ]
    assert told == [
        "for figures of this race: pip install 'microgpt-numba[plots]', and give its directory once more"
    ]


def test_a_race_without_results_has_files_too(tmp_path, without_figures):
    plan = small_plan()
    found = report(plan, {}, {}, same_seconds(plan), {})
    write_files(tmp_path, {}, {}, found, lambda text: None)
    assert (tmp_path / RUNS_FILE).read_text() == ",".join(COLUMNS) + "\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path, without_figures):
    (tmp_path / RUNS_FILE).mkdir()
    rows, counts_for, found = rows_and_more()
    message = f"cannot write {tmp_path / RUNS_FILE}: Is a directory"
    assert error_of(write_files, tmp_path, rows, counts_for, found, print) == message
