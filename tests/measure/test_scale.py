"""More cores: which rungs there are, from which batch size on one helps, and what the command prints."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from microgpt_kernels import load
from test_cli import fails, json_lines, run

from microgpt.config import TrainConfig
from microgpt.measure import scale
from microgpt.measure.scale import Rung, Scale, Speed, Turning, doubling, ladder
from microgpt.measure.scale_table import sentence, table
from microgpt.recipes import RECIPES
from microgpt.training.reporter import Silent

BESIDE_PYTHON = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
MPIEXEC = shutil.which("mpiexec", path=BESIDE_PYTHON)
TINY = ("bench", 2, "--scale", "--backend", "reference", "--seq-len", 4, "--n-layers", 1, "--d-model", 16)
FEW_CORES = 4  # which the tests of the command pretend to have


@pytest.fixture
def few_cores(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", str(FEW_CORES))
    monkeypatch.setattr(scale, "LARGEST_BATCH", 4)
    monkeypatch.setattr(scale, "TURNS", 2)


def test_the_rungs():
    assert [doubling(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]
    assert ladder(1, 4, 64) == [(1, 1), (1, 2), (1, 4)]
    assert ladder(4, 2, 64) == [(1, 1), (1, 2), (2, 2), (4, 2)]
    assert ladder(4, 32, 64)[-1] == (2, 32), "a batch has no more shards than that"


def test_json(few_cores):
    rows = json_lines(run(*TINY, "--json", "--batch-size", 8).stdout)
    speeds, turnings = (
        [row for row in rows if "steps_per_s" in row],
        [row for row in rows if "largest" in row],
    )
    assert len(speeds) + len(turnings) == len(rows)
    assert [(row["processes"], row["threads"]) for row in speeds] == [(1, 1), (1, 2), (1, 4)]
    for row in speeds:
        assert (row["batch_size"], row["shards"], row["exchange_us"]) == (8, 4, 0)
        assert row["speedup"] == pytest.approx(row["steps_per_s"] / speeds[0]["steps_per_s"])
        assert row["efficiency"] == pytest.approx(row["speedup"] / row["threads"])
    assert [(row["fewer_threads"], row["threads"]) for row in turnings] == [(1, 2), (2, 4)]


def test_the_table(few_cores):
    title, header, *lines, _, heading, two, four = run(*TINY, "--batch-size", 2).stdout.splitlines()
    assert title.startswith("reference, float32, B2 T4 C16 L1 F16 V")
    assert header.split() == ["processes", "threads", "steps/s", "speedup", "efficiency", "exchange"]
    assert [line.split()[:2] for line in lines[:-1]] == [["1", "1"], ["1", "2"]]
    assert lines[-1] == "a batch of 2 has 2 shards, and more cores have nothing to do"
    assert heading.startswith("the batch size from which on")
    assert two.startswith("  on 2 threads instead of 1 thread: ")
    assert four.startswith("  on 4 threads instead of 2 threads: ")


def test_a_row_of_several_processes():
    _, line = table([Speed(32, 4, 2, 3, 123.4, 3.0, 0.5, 1234.0, 0.25)])
    assert line.split() == ["2", "3", "123.4", "3.00", "50%", "1,234", "us,", "25%"]
    assert sentence(Turning(2, 3, 1, 3, 64, 64, None, 1.5)) == (
        "  on 2 processes of 3 threads instead of 3 threads: 64 (1.50 times as fast)"
    )
    assert sentence(Turning(1, 2, 1, 1, None, 1024, "larger ones are not tried", 1.0)).endswith(
        ": none up to 1,024; larger ones are not tried"
    )


@pytest.mark.parametrize(("step_us", "expected"), [(100, [4, 16]), (10_000, [2, 4]), (1, [None, None])])
def test_from_which_batch_size_on_more_cores_help(monkeypatch, step_us, expected):
    """With times made up: a sequence takes `step_us`, and each further thread waits for 100 us."""
    monkeypatch.setenv("NUMBA_NUM_THREADS", str(FEW_CORES))
    monkeypatch.setattr(scale, "LARGEST_BATCH", 64)
    config = TrainConfig(file="tales", **RECIPES["plain"] | {"seq_len": 4, "d_model": 4, "heads": "4"})
    measured = Scale(config, load("reference"), [0] * 1000, 7, 1, None, Silent())
    tried = []

    def speeds(batch_size, rungs):
        tried.append((batch_size, rungs[1].cores))
        seconds = [1e-6 * (batch_size * step_us / rung.cores + 100 * (rung.cores - 1)) for rung in rungs]
        return [
            Speed(batch_size, 4, *rung, 1 / s, seconds[0] / s, 1.0, 0.0, 0.0)
            for rung, s in zip(rungs, seconds, strict=True)
        ]

    monkeypatch.setattr(measured, "speeds", speeds)
    found = list(measured.turnings())
    assert [turning.helps_from for turning in found] == expected
    assert all(batch_size >= cores for batch_size, cores in tried), "each thread has a shard"
    assert max(turning.largest for turning in found) == max(batch_size for batch_size, _ in tried)
    assert [turning.speedup is not None and turning.speedup >= scale.MARGIN for turning in found] == [
        size is not None for size in expected
    ]


def test_what_cannot_be_measured():
    assert fails(*TINY, "--threads", 2, code=2) == (
        "--scale measures 1, 2, 4 ... threads: leave --threads away"
    )
    assert fails(*TINY, "--roofline", code=2) == "--roofline and --scale: give one of them"
    assert "sum to 7" in fails(*TINY, "--heads", "3+4", code=2)
    assert fails(*TINY, "--batch-size", 0, code=2) == "--batch-size must be at least 1, not 0"


@pytest.mark.skipif(find_spec("mpi4py") is None, reason="mpi4py is missing: pip install -e '.[mpi]'")
@pytest.mark.skipif(MPIEXEC is None, reason="mpiexec is missing: pip install -e '.[mpi]'")
class TestProcesses:
    """The command as mpiexec starts it."""

    def started(self, *arguments):
        command = [MPIEXEC, "-n", "2", sys.executable, "-m", "microgpt", *map(str, arguments)]
        environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, timeout=120
        )

    def test_each_row_is_printed_once(self, tmp_path):
        (tmp_path / "text.txt").write_text("abcde" * 10)  # too short for a large batch
        result = self.started(*TINY, "--json", "--batch-size", 4, "--file", tmp_path / "text.txt")
        assert result.returncode == 0, result.stderr
        *speeds, turning = map(json.loads, result.stdout.splitlines())
        assert [Rung(row["processes"], row["threads"]) for row in speeds] == [(1, 1), (2, 1)]
        assert [row["exchange_us"] > 0 for row in speeds] == [False, True]
        assert 0 < speeds[1]["exchange_share"] < 1
        assert (turning["processes"], turning["fewer_processes"]) == (2, 1)
        assert turning["largest"] <= 8

    def test_the_table_is_printed_where_more_processes_help(self):
        """The other processes know that they do, but not by how much."""
        result = self.started(*TINY, "--batch-size", 8)
        assert result.returncode == 0, result.stderr
        assert "on 2 processes of 1 thread instead of 1 thread: " in result.stdout.splitlines()[-1]

    def test_what_is_wrong_is_said_once(self):
        result = self.started(*TINY, "--heads", "3+4")
        assert result.returncode == 2
        assert result.stderr.splitlines() == ["microgpt: the widths 3+4 sum to 7, but d_model is 16"]
        result = self.started(*TINY, "--file", "missing.txt")
        assert result.returncode == 1
        assert result.stderr.count("there is no file missing.txt") == 1
