"""A race from its first run to its last, with threads as its workers: stopped, gone on with, out of space."""

import errno
import json
import math
import os

import pytest
from racing import HEADS, OPTIONS, TEXT, Quiet, begun, found, plan, rows, threads

from microgpt.errors import MicrogptError
from microgpt.race.race import SPEEDS_FILE, Race, load_speeds, save_speeds, settled, timed
from microgpt.race.results import RESULTS_FILE, Results
from microgpt.race.runs import FARTHEST, entries
from microgpt.race.worker import Outcome
from microgpt.terminal import interruption


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


def open_race(directory, its):
    return Race(directory, its, Results(directory), load_speeds(directory, its), entries(its))


def go(directory, its, after=lambda race, row: None, n_threads=1):
    """Go on with the race; returns whether it has come to its end."""
    workers = threads(n_threads)
    try:
        return open_race(directory, its).go(workers, Quiet(after))
    finally:
        workers.cancel()
        workers.close()


def hold(directory, text, **changes):
    """A whole race; returns its plan."""
    begun(directory, text, **changes)
    its = plan(text, **changes)
    assert go(directory, its)
    return its


def test_a_whole_race(tmp_path, text):
    its = hold(tmp_path / "race", text)
    lines = rows(tmp_path / "race")
    judged = [row for row in lines if row["seed"] <= its.seeds]
    assert sorted((row["entrant"], row["seed"]) for row in judged) == [
        (h, s) for h in HEADS for s in range(1, 7)
    ]
    tuning = [row for row in lines if row["seed"] > its.seeds]
    assert len(tuning) >= len(HEADS) * its.rates * its.tuning_seeds
    assert all(2 < row["bits"] < 6 and row["problem"] is None for row in lines)
    assert {(row["plan"], row["steps"], row["condition"]) for row in lines} == {(its.digest, 3, "text")}
    # each entrant is judged with the rate that was best for its tuning seeds
    for heads in HEADS:
        means = {}
        for row in tuning:
            if row["entrant"] == heads:
                means.setdefault(row["lr"], []).append(row["bits"])
        assert all(len(bits) == its.tuning_seeds for bits in means.values())
        best = min(means, key=lambda lr: math.fsum(means[lr]))
        assert {row["lr"] for row in judged if row["entrant"] == heads} == {best}
    # and nothing is left
    before = (tmp_path / "race" / RESULTS_FILE).read_bytes()
    assert go(tmp_path / "race", its)
    assert (tmp_path / "race" / RESULTS_FILE).read_bytes() == before


def test_results_do_not_depend_on_how_many_workers_there_are(tmp_path, text):
    its = hold(tmp_path / "one", text, equal_seconds=True)
    begun(tmp_path / "three", text, equal_seconds=True)
    assert go(tmp_path / "three", its, n_threads=3)
    assert found(tmp_path / "one") == found(tmp_path / "three")
    # the second entrant takes half as long, and so twice as many steps
    assert {row["steps"] for row in rows(tmp_path / "one") if row["entrant"] == HEADS[0]} == {3}
    assert {row["steps"] for row in rows(tmp_path / "one") if row["entrant"] == HEADS[1]} == {3, 6}


def test_a_race_that_is_stopped_again_and_again_ends_the_same(tmp_path, text):
    its = hold(tmp_path / "whole", text)
    begun(tmp_path / "stopped", text)
    stops = 0

    def stop(race, row):
        if len(race.results.rows) % 5 == 0:
            interruption.ask()

    while not go(tmp_path / "stopped", its, stop):
        stops += 1
        assert len(rows(tmp_path / "stopped")) >= 5 * stops
    assert stops >= 4
    assert found(tmp_path / "stopped") == found(tmp_path / "whole")


def test_further_rates_are_tried_before_others_are_judged(tmp_path, text, monkeypatch):
    """So that no process is left without a run at the end. Here the second entrant is the better, the lower
    its rate is."""

    def made_up(job):
        lr = job.config.lr
        bits = lr if job.config.heads == HEADS[1] else abs(math.log(lr / rule))
        return Outcome(job.key, bits, bits, 0.0, None)

    rule = plan(text).config(plan(text).places()[0], HEADS[0]).rates.lr
    monkeypatch.setattr("microgpt.race.race.train", made_up)
    hold(tmp_path / "race", text, seeds=100, tuning_seeds=1)
    seeds = [row["seed"] for row in rows(tmp_path / "race")]
    tuned = [place for place, seed in enumerate(seeds) if seed > 100]
    assert len(tuned) == 3 + 3 + FARTHEST
    assert max(tuned) < 100


def test_how_much_is_left_is_told_at_each_time(tmp_path, text):
    left = []

    def note(race, row):
        left.append((race.runs_left, race.seconds_left))

    begun(tmp_path / "race", text)
    assert go(tmp_path / "race", plan(text), note)
    runs, seconds = zip(*left, strict=True)
    assert runs[-1] == 0
    assert seconds[-1] == pytest.approx(0, abs=1e-9)
    assert min(seconds) > -1e-9


def test_runs_that_stop_being_finite_are_results(tmp_path, text):
    its = hold(
        tmp_path / "race", text, seeds=2, tuning_seeds=0,
        options={"backend": "crystal", "lr": 9e5, "warmup": 0, "schedule": "constant"},
    )  # fmt: skip
    lines = rows(tmp_path / "race")
    assert len(lines) == 4
    assert all(row["bits"] is None and "not finite" in row["problem"] for row in lines)
    assert set(Results(tmp_path / "race").bits.values()) == {math.inf}
    assert go(tmp_path / "race", its)  # they are not tried again
    assert len(rows(tmp_path / "race")) == 4


def test_a_full_disk_loses_nothing_that_was_kept(tmp_path, text, monkeypatch):
    its = hold(tmp_path / "whole", text)
    begun(tmp_path / "full", text)
    fsync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MicrogptError, match=r"cannot write .*No space left"):
        go(tmp_path / "full", its)
    monkeypatch.undo()
    assert len(found(tmp_path / "full")) == 7
    assert go(tmp_path / "full", its)
    assert found(tmp_path / "full") == found(tmp_path / "whole")


def test_a_line_that_is_half_written_is_done_again(tmp_path, text):
    its = hold(tmp_path / "race", text)
    expected, file = found(tmp_path / "race"), tmp_path / "race" / RESULTS_FILE
    content = file.read_bytes()
    for end in (-1, -100, content.index(b"\n") + 1 - len(content), 5 - len(content)):
        file.write_bytes(content[:end])
        assert go(tmp_path / "race", its)
        assert found(tmp_path / "race") == expected


def test_a_text_that_is_not_the_one_of_the_plan(tmp_path, text):
    its = plan(text)
    assert settled(its) == its
    begun(tmp_path / "race", text)
    text.write_text(TEXT[1:])
    with pytest.raises(MicrogptError, match=r"text\.txt is not the text that the race was planned with"):
        settled(its)
    with pytest.raises(MicrogptError, match=r"is not the text that the race was planned with"):
        go(tmp_path / "race", its)
    assert rows(tmp_path / "race") == []


def test_entrants_are_timed_in_each_condition(tmp_path, text):
    its = plan(text, options=OPTIONS, conditions={"short": {"seq_len": 5}, "long": {"seq_len": 20}})
    workers = threads()
    timings = timed(its, workers, Quiet(), 2)
    workers.close()
    assert list(timings) == ["short", "long"]
    assert all(list(each) == list(HEADS) for each in timings.values())
    assert all(timing.step > 0 for each in timings.values() for timing in each.values())
    save_speeds(tmp_path, its, timings)
    assert load_speeds(tmp_path, its) == timings


def test_only_what_is_new_is_timed(tmp_path, text):
    """So runs with equal seconds stay what they are; an entrant under an old name, but with other options, is
    another one."""
    its = plan(text)
    begun(tmp_path / "race", text)
    before = load_speeds(tmp_path / "race", its)
    changed = plan(text, entrants={HEADS[0]: {"heads": HEADS[0]}, HEADS[1]: {"heads": HEADS[1], "d_ff": 9}})
    known = load_speeds(tmp_path / "race", changed)
    assert known == {"text": {HEADS[0]: before["text"][HEADS[0]]}}
    workers = threads()
    timings = timed(changed, workers, Quiet(), 2, known)
    workers.close()
    assert timings["text"][HEADS[0]] == before["text"][HEADS[0]]
    assert timings["text"][HEADS[1]] != before["text"][HEADS[1]]


def test_speeds_that_are_missing_or_damaged(tmp_path, text):
    its = plan(text)
    assert load_speeds(tmp_path, its) == {}
    speeds = json.loads((begun(tmp_path / "race", text) / SPEEDS_FILE).read_text())
    # that of another entrant is not known
    (tmp_path / SPEEDS_FILE).write_text(json.dumps({"text": {HEADS[0]: speeds["text"][HEADS[0]]}}))
    assert list(load_speeds(tmp_path, its)["text"]) == [HEADS[0]]
    timing = speeds["text"][HEADS[1]]
    for wrong in ("{", "[]", '"text"', "null"):
        (tmp_path / SPEEDS_FILE).write_text(wrong)
        with pytest.raises(MicrogptError, match=r"cannot read .*speeds\.json"):
            load_speeds(tmp_path, its)
    for name, value in (
        ("step", 0), ("step", math.nan), ("step", math.inf), ("step", "1"), ("step", None),
        ("evaluation", -1), ("evaluation", [1]), ("more", 1),
    ):  # fmt: skip
        damaged = {**speeds["text"], HEADS[1]: {**timing, name: value}}
        (tmp_path / SPEEDS_FILE).write_text(json.dumps({"text": damaged}))
        with pytest.raises(MicrogptError, match=r"cannot read .*speeds\.json"):
            load_speeds(tmp_path, its)
