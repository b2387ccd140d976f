"""The directory of a run: one writer, never over another run, and nothing left of one that never began."""

import signal
import subprocess
import sys

import pytest

from microgpt.errors import MicrogptError
from microgpt.training.directory import LOCK_FILE, claim, reopen

OWNER = """
import sys, time
from pathlib import Path
from microgpt.training.directory import claim
claim(sys.argv[1], Path("runs"))
print("mine", flush=True)
time.sleep(60)
"""


@pytest.fixture
def owned(tmp_path):
    """A directory that another process has claimed."""
    path = tmp_path / "owned"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "mine\n"
        yield path, process
        process.kill()


def test_the_next_number_where_others_were(tmp_path):
    default = tmp_path / "runs" / "text"
    first, second = claim(None, default), claim(None, default)
    assert (first.path, second.path) == (default, default.with_name("text-2"))
    (first.path / "optimizer.safetensors").touch()
    first.release()
    assert claim(None, default).path == default.with_name("text-3")
    # one that nobody has used is taken
    second.release()
    assert claim(None, default).path == second.path


def test_a_directory_has_one_writer(owned):
    path, process = owned
    for take in (lambda: claim(str(path), path), lambda: reopen_with_state(path)):
        with pytest.raises(MicrogptError, match=r"another microgpt is writing .*owned: wait until it ends"):
            take()
    # a process that dies leaves no lock behind, however it dies
    process.send_signal(signal.SIGKILL)
    process.wait()
    reopen_with_state(path).release()


def reopen_with_state(path):
    (path / "optimizer.safetensors").touch()
    return reopen(path)


def test_never_over_another_run(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MicrogptError, match="file is a file; name a directory"):
        claim(str(tmp_path / "file"), tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").touch()
    with pytest.raises(MicrogptError, match="full is not empty; use an empty one, or name another directory"):
        claim(str(tmp_path / "full"), tmp_path)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["diary.txt"]
    with pytest.raises(MicrogptError, match="holds no run to go on with"):
        reopen(tmp_path / "full")
    assert not (tmp_path / "full" / LOCK_FILE).exists()


def test_what_never_began_is_taken_back(tmp_path):
    directory = claim(str(tmp_path / "a" / "b" / "run"), tmp_path)
    for name in ("config.toml", "starts.jsonl"):  # which come before the first checkpoint
        (directory.path / name).touch()
    directory.discard()
    assert list(tmp_path.iterdir()) == []
    # but not what was there before, nor what has something in it
    (tmp_path / "mine").mkdir()
    claim(str(tmp_path / "mine"), tmp_path).discard()
    directory = claim(str(tmp_path / "new"), tmp_path)
    (directory.path / "optimizer.safetensors").touch()
    directory.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "new"]
    assert (tmp_path / "new" / LOCK_FILE).exists()


def test_a_place_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MicrogptError, match=r"^cannot write .*file/run: Not a directory$"):
        claim(str(tmp_path / "file" / "run"), tmp_path)
    with pytest.raises(MicrogptError, match="File name too long"):
        claim(str(tmp_path / ("x" * 300)), tmp_path)
