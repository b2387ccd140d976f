"""The results of a race on the disk: what a crash leaves of them, and a disk that is full."""

import errno
import gzip
import json
import math
import os

import pytest
from sentences import error_of

from microgpt.race.results import COMPRESSED_FILE, KINDS, RESULTS_FILE, Results, bits_of


def row(number, bits=2.5):
    return {
        "key": f"{number:024}",
        "plan": "c" * 12,
        "condition": "poem",
        "entrant": "ones",
        "lr": 0.01,
        "seed": number,
        "steps": 20,
        "bits": bits,
        "training_nats": 1.5,
        "problem": None,
    }


def lines(*rows):
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


@pytest.fixture
def written(tmp_path):
    """A directory with three results."""
    results = Results(tmp_path)
    results.open()
    for number in (1, 2, 3):
        results.append(row(number, number / 2))
    return tmp_path


def keys(directory):
    return [int(key) for key in Results(directory).rows]


def test_a_result_is_a_line_that_is_read_back(written):
    assert (written / RESULTS_FILE).read_bytes() == lines(row(1, 0.5), row(2, 1.0), row(3, 1.5))
    results = Results(written)
    assert list(results.rows.values()) == [row(1, 0.5), row(2, 1.0), row(3, 1.5)]
    assert list(results.bits.values()) == [0.5, 1.0, 1.5]


def test_without_files_there_are_none(tmp_path):
    assert Results(tmp_path).rows == Results(tmp_path).bits == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bits", [None, math.inf, math.nan])
def test_what_is_not_finite_is_null_in_the_file_and_infinite_for_the_race(bits, tmp_path):
    results = Results(tmp_path)
    results.append(row(1, bits) | {"training_nats": math.nan, "lr": 0.5})
    text = (tmp_path / RESULTS_FILE).read_text()
    assert "Infinity" not in text
    assert "NaN" not in text
    assert json.loads(text) == row(1, None) | {"training_nats": None, "lr": 0.5}
    for each in (results, Results(tmp_path)):
        assert list(each.bits.values()) == [math.inf]
        assert each.rows == {row(1)["key"]: json.loads(text)}


# --- what a crash leaves


@pytest.mark.parametrize("cut", [1, 5, 150])
def test_a_line_that_is_half_written_is_left_out_and_then_removed(cut, written):
    whole = (written / RESULTS_FILE).read_bytes()
    (written / RESULTS_FILE).write_bytes(whole[:-cut])
    results = Results(written)
    assert keys(written) == [1, 2]
    assert (written / RESULTS_FILE).read_bytes() == whole[:-cut], "to read changes nothing"
    results.open()
    assert (written / RESULTS_FILE).read_bytes() == lines(row(1, 0.5), row(2, 1.0))
    results.append(row(4))
    assert keys(written) == [1, 2, 4]


@pytest.mark.parametrize("length", [1, 1 << 16, (1 << 16) + 1, 200_000])
def test_a_half_line_may_be_long(length, written):
    """Longer than the pieces in which its beginning is looked for; also where it is the only one."""
    path = written / RESULTS_FILE
    for before in (path.read_bytes(), lines(*map(row, range(900))), b""):
        path.write_bytes(before + b"x" * length)
        Results(written).open()
        assert path.read_bytes() == before


def test_to_open_leaves_whole_lines_alone(written):
    before = (written / RESULTS_FILE).read_bytes()
    Results(written).open()
    assert (written / RESULTS_FILE).read_bytes() == before


DAMAGED = {
    "nothing": b"",
    "half a line": lines(row(9))[:40],
    "no JSON": b"\xff\xfe\x00",
    "a list": b"[1]",
    "a number": b"3",
    "deep": b"[" * 9**5,
    "not finite": lines(row(9)).strip().replace(b"2.5", b"Infinity"),
    "no number": lines(row(9)).strip().replace(b"2.5", b"NaN"),
    "bits in quotes": lines(row(9)).strip().replace(b"2.5", b'"2.5"'),
    "a number as key": lines(row(9) | {"key": 9}).strip(),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_line_that_is_damaged_is_named(number, damaged, written):
    found = (written / RESULTS_FILE).read_bytes().splitlines()
    found.insert(number - 1, damaged)
    (written / RESULTS_FILE).write_bytes(b"\n".join(found) + b"\n")
    message = f"{written / RESULTS_FILE}, line {number}, is not the result of a run"
    assert error_of(Results, written) == message


@pytest.mark.parametrize("name", KINDS)
def test_a_line_has_all_that_a_race_needs(name, tmp_path):
    for wrong in ({key: value for key, value in row(1).items() if key != name}, row(1) | {name: [1]}):
        (tmp_path / RESULTS_FILE).write_bytes(lines(wrong))
        assert "line 1, is not the result of a run" in error_of(Results, tmp_path)
    more = row(1) | {"machine": "x86_64", "of another version": 7}
    (tmp_path / RESULTS_FILE).write_bytes(lines(more))
    assert list(Results(tmp_path).rows.values()) == [more]


# --- two files


def test_compressed_results_come_before_the_others_and_a_run_counts_once(written):
    compressed = gzip.compress(lines(row(7, 7.0), row(2, 9.0)))
    (written / COMPRESSED_FILE).write_bytes(compressed)
    results = Results(written)
    assert [int(key) for key in results.rows] == [7, 2, 1, 3]
    assert list(results.bits.values()) == [7.0, 9.0, 0.5, 1.5]
    results.open()
    results.append(row(8))
    assert keys(written) == [7, 2, 1, 3, 8]
    assert (written / COMPRESSED_FILE).read_bytes() == compressed


def test_of_two_lines_of_a_run_the_first_one_counts(written):
    with (written / RESULTS_FILE).open("ab") as file:
        file.write(lines(row(1, 9.0)))
    assert list(Results(written).bits.values()) == [0.5, 1.0, 1.5]


def test_compressed_results_that_are_damaged_are_named(tmp_path):
    path, whole = tmp_path / COMPRESSED_FILE, gzip.compress(lines(*map(row, range(99))))
    flipped = bytearray(whole)
    flipped[40] ^= 0xFF
    for content in (b"no gzip", whole[:-9], whole[:30], bytes(flipped)):
        path.write_bytes(content)
        assert error_of(Results, tmp_path).startswith(f"cannot read {path}: ")
    path.write_bytes(gzip.compress(lines(row(1)) + b"{}\n"))
    assert error_of(Results, tmp_path) == f"{path}, line 2, is not the result of a run"


# --- disks


def test_a_disk_that_is_full_leaves_the_file_as_it_was(written):
    resource = pytest.importorskip("resource", reason="only Unix limits the size of a file")
    results, path = Results(written), written / RESULTS_FILE
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
    try:
        message = error_of(results.append, row(4))
        assert path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert message == f"cannot write {path}: the disk is full"
    assert results.rows.keys() == Results(written).rows.keys(), "what is not kept is not known either"
    results.append(row(4))  # there is room again
    assert keys(written) == [1, 2, 3, 4]


def test_a_line_that_does_not_reach_the_disk_is_taken_back(written, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    results, path = Results(written), written / RESULTS_FILE
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    assert error_of(results.append, row(4)) == f"cannot write {path}: No space left on device"
    assert path.read_bytes() == before
    assert len(results.rows) == 3


def test_a_directory_in_its_place_is_named(tmp_path):
    (tmp_path / RESULTS_FILE).mkdir()
    assert error_of(Results, tmp_path) == f"cannot read {tmp_path / RESULTS_FILE}: Is a directory"


def test_a_directory_that_is_gone_is_named(tmp_path):
    results = Results(tmp_path / "gone")
    message = f"cannot write {tmp_path / 'gone' / RESULTS_FILE}: No such file or directory"
    assert error_of(results.open) == message
    assert error_of(results.append, row(1)) == message


def test_bits_of_a_run_that_failed_are_infinite():
    assert bits_of(row(1, 2)) == 2.0
    assert bits_of(row(1, None)) == math.inf
