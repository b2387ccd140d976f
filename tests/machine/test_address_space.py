"""`ulimit -v` and `-d`: whatever they are, the program works, or says in one sentence why it cannot."""

import os
import subprocess
import sys
import time

import pytest

from microgpt.machine.address_space import NEEDED, NEEDED_DATA

resource = pytest.importorskip("resource", reason="only Unix limits the address space of a process")

TINY = ("train", "text.txt", "--recipe", "plain", "--steps", "2", "--seq-len", "8", "--d-model", "16")


def started(here, kibibytes, out, limit=resource.RLIMIT_AS):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "microgpt", *TINY, "--out", out],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(limit, (kibibytes << 10,) * 2),
    )
    return done, time.perf_counter() - begin


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    directory = tmp_path_factory.mktemp("here")
    (directory / "text.txt").write_text("the cat sat on the mat; a dog ate the hat.\n" * 9)
    started(directory, 4 << 20, "compiled")
    return directory


@pytest.mark.parametrize(
    "kibibytes", [50_000, 100_000, 200_000, 340_000, 400_000, 500_000, 700_000, (1 << 20) - 1]
)
def test_too_little_is_one_sentence_at_once(here, kibibytes):
    done, seconds = started(here, kibibytes, "none")
    assert done.returncode == 1
    assert done.stderr.startswith(f"microgpt: this shell allows {kibibytes} KiB of address space, but ")
    assert f"compiler need {NEEDED >> 10} KiB: say `ulimit -v unlimited`" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert seconds < 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts all data of a process")
def test_data_has_a_limit_of_its_own(here):
    for kibibytes in (50_000, 200_000, (NEEDED_DATA >> 10) - 1):
        done, seconds = started(here, kibibytes, "none", resource.RLIMIT_DATA)
        assert done.returncode == 1
        assert done.stderr.startswith(f"microgpt: this shell allows {kibibytes} KiB of data, but ")
        assert f"need {NEEDED_DATA >> 10} KiB: say `ulimit -d unlimited`" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert seconds < 5
    done, _ = started(here, NEEDED_DATA >> 10, "enough", resource.RLIMIT_DATA)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kibibytes", [1 << 20, 1_300_000, 2_000_000])
def test_enough_is_enough(here, kibibytes):
    done, _ = started(here, kibibytes, f"run{kibibytes}")
    assert done.returncode == 0, done.stderr
    assert (here / f"run{kibibytes}" / "model.safetensors").exists()
