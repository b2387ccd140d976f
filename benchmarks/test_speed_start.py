"""Starting: from typing a command to its first line, and to the first finished step of a training run."""

import os
import subprocess
import sys

import pytest

PROGRAM = (sys.executable, "-m", "microgpt")
TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 1000
# what users have, whatever this process was started with
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def first_line(directory, *arguments, **environment):
    """Run the program until it has printed its first line to standard output."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    environment = ENVIRONMENT | environment
    with subprocess.Popen([*PROGRAM, *arguments], cwd=directory, env=environment, **pipes) as process:
        assert process.stdout.readline()
        process.kill()


def train(directory, backend, batch_size, **environment):
    first_line(
        directory, "train", "text.txt", "--recipe", "plain", "--seq-len", "32", "--backend", backend,
        "--steps", "1", "--json",
        "--batch-size", str(batch_size), "--out", f"run-{len(list(directory.iterdir()))}", **environment,
    )  # fmt: skip


@pytest.fixture
def here(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def test_help(benchmark, here):
    benchmark.group = "to the first line of --help"
    benchmark.pedantic(first_line, (here, "--help"), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("backend", ["crystal", "openblas"])
def test_first_step_warm(benchmark, here, backend):
    benchmark.group = "to the first finished step, the cache being there"
    benchmark.pedantic(train, (here, backend, 1), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("backend", ["crystal", "openblas"])
def test_first_step_cold(benchmark, here, backend, batch_size):
    benchmark.group = "to the first finished step, everything compiled"
    cold = {"NUMBA_CACHE_DIR": str(here / "cache")}
    benchmark.pedantic(train, (here, backend, batch_size), kwargs=cold, rounds=1)
