"""metrics.jsonl and samples.txt: what a crash leaves of them, and a disk that is full."""

import json
import tracemalloc

import pytest

from microgpt.errors import MicrogptError
from microgpt.training.logs import SAMPLE_LENGTH, Logs, reports, samples, starts

SAMPLE = "once upon a time\r\n--- step 99\nthere was a mat. "
SAMPLE = (SAMPLE * 9)[:SAMPLE_LENGTH]


def report(step):
    return {"step": step, "loss": 1.5, "elapsed_s": step / 10}


@pytest.fixture
def written(tmp_path):
    logs = Logs(tmp_path, print)
    for step in (1, 2, 3):
        logs.report(report(step))
        logs.sample(step, SAMPLE)
    return tmp_path


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(written):
    whole = {name: (written / name).read_bytes() for name in ("metrics.jsonl", "samples.txt")}
    # what a crash leaves: more of the same, the last of it cut off
    with (written / "metrics.jsonl").open("a") as metrics, (written / "samples.txt").open("a") as samples:
        metrics.write(json.dumps(report(4)) + '\n{"step": 5, "lo')
        samples.write(f"--- step 4\n{SAMPLE}\n--- step 5\nonce up")
    assert Logs(written, print).resume(3) == 0.3
    assert {name: (written / name).read_bytes() for name in whole} == whole
    assert Logs(written, print).resume(1) == 0.1
    assert json.loads((written / "metrics.jsonl").read_text()) == report(1)
    # a line of a sample that looks like the next one's header is none
    assert (written / "samples.txt").read_bytes().decode() == f"--- step 1\n{SAMPLE}\n"


def test_what_was_written_can_be_read(written):
    logs = Logs(written, print)
    for step in (0, 2):
        logs.started({"step": step, "elapsed_s": step / 10, "processor": "a processor"})
    with (written / "metrics.jsonl").open("a") as metrics, (written / "samples.txt").open("a") as file:
        metrics.write('{"step": 5, "lo')
        file.write("--- step 5\nonce up")
    assert list(reports(written)) == [report(step) for step in (1, 2, 3)]
    assert list(samples(written)) == [(step, SAMPLE) for step in (1, 2, 3)]
    assert [start["step"] for start in starts(written)] == [0, 2]
    # a run that goes on after step 1 was never resumed at step 2
    assert logs.resume(1) == 0.1
    assert [start["step"] for start in starts(written)] == [0]
    assert list(samples(written)) == [(1, SAMPLE)]


def test_logs_that_are_not_there_are_empty(tmp_path):
    assert [list(read(tmp_path)) for read in (reports, samples, starts)] == [[], [], []]
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(MicrogptError, match=r"cannot read .*metrics\.jsonl: "):
        list(reports(tmp_path))


def test_what_somebody_else_wrote_stays(written):
    (written / "samples.txt").write_text("my favourites\n")
    Logs(written, print).resume(1)
    assert (written / "samples.txt").read_text() == "my favourites\n"


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b'{"step": "1", "elapsed_s": 0}\n',
        b'{"step": NaN, "elapsed_s": 0}\n',
        b"[" * 9**5,
        b"x" * (5 << 20),
        b"x" * (5 << 20) + b"\n",
    ],
)
def test_lines_that_are_no_reports_are_no_obstacle(written, line):
    before = (written / "metrics.jsonl").read_bytes()
    (written / "metrics.jsonl").write_bytes(before + line)
    assert Logs(written, print).resume(3) == 0.3
    assert (written / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "last",
    [{"metrics.jsonl": "", "samples.txt": ""}, {"metrics.jsonl": '{"st', "samples.txt": "--- step 3\nonce"}],
    ids=["whole", "cut"],
)
def test_long_logs_take_no_memory(written, last):
    """Neither where they are whole, nor where they are cut."""
    line = json.dumps({**report(2), "more": "x" * 9999}) + "\n"
    logs = {"metrics.jsonl": line * 800, "samples.txt": f"--- step 2\n{SAMPLE}\n" * 20_000}
    for name, text in logs.items():
        (written / name).write_bytes(text.encode() + last[name].encode())
    tracemalloc.start()
    try:
        assert Logs(written, print).resume(2) == 0.2
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    assert {name: (written / name).read_bytes().decode() for name in logs} == logs


def test_a_full_disk_is_told_once_and_leaves_whole_lines(written, monkeypatch):
    told, before = [], (written / "metrics.jsonl").read_bytes()
    logs = Logs(written, told.append)
    resource = pytest.importorskip("resource", reason="only Unix limits the size of a file")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        logs.report(report(4))
        logs.report(report(5))
        assert (written / "metrics.jsonl").read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(told) == 1
    assert told[0].endswith("metrics.jsonl: File too large; the run goes on without it") or "full" in told[0]
    assert "metrics.jsonl lacks lines" in logs.problem
    logs.report(report(6))  # there is room again
    assert [json.loads(line)["step"] for line in (written / "metrics.jsonl").read_text().splitlines()] == [
        1,
        2,
        3,
        6,
    ]
