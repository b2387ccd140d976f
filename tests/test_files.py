"""Writing a file: the old one or the new one is there, whole, at any instant."""

import os
import subprocess
from pathlib import Path

import pytest
from saved_examples import names

from microgpt.errors import MicrogptError
from microgpt.files import replacing, write_atomically


def test_the_file_is_whole_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(("sync", os.fstat(fd).st_size)), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (events.append(("name", b.name)), replace(a, b))[1])
    write_atomically(tmp_path / "x", b"12345")
    assert events[:2] == [("sync", 5), ("name", "x")]
    assert [kind for kind, _ in events] == ["sync", "name", "sync"]  # the last one is the directory


def test_what_need_not_survive_a_power_cut_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: pytest.fail("the disk was waited for"))
    with replacing(tmp_path / "x", durable=False) as temporary:
        temporary.write_bytes(b"12345")
        assert not (tmp_path / "x").exists()
    assert names(tmp_path) == ["x"]


def test_a_link_stays_a_link_and_a_private_file_private(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").mkdir()
    target, link = tmp_path / "disk" / "big", tmp_path / "run" / "x"
    link.symlink_to(Path("..") / "disk" / "big")
    for content in (b"1", b"22"):  # the first makes what the link points to
        write_atomically(link, content)
        assert (link.is_symlink(), target.read_bytes()) == (True, content)
        target.chmod(0o600)
    assert target.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path / "run") == ["x"]
    assert names(tmp_path / "disk") == ["big"]


def test_what_killed_writers_have_left_is_removed(tmp_path):
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    with subprocess.Popen(["sleep", "60"]) as alive:
        for process, name in ((dead.pid, "x"), (dead.pid, "y"), (alive.pid, "x"), (alive.pid, "old")):
            (tmp_path / f".{name}.{process}.tmp").mkdir()
            (tmp_path / f".{name}.{process}.tmp" / name).write_bytes(b"half")
        (tmp_path / f".z.{dead.pid}.tmp").touch()  # as version 0.1 had them
        # the number of a writer of long ago, which is another process's now
        for path in (tmp_path / f".old.{alive.pid}.tmp" / "old", tmp_path / f".old.{alive.pid}.tmp"):
            os.utime(path, (1e9, 1e9))
        others = [".x.tmp", f"x.{dead.pid}.tmp", ".x.12y.tmp", ".x.1234567890123.tmp"]
        for name in others:
            (tmp_path / name).touch()
        write_atomically(tmp_path / "x", b"")
        alive.kill()
    assert names(tmp_path) == sorted([*others, f".x.{alive.pid}.tmp", "x"])


def test_a_name_that_no_file_can_have_is_one_sentence(tmp_path):
    for name, reason in (
        ("a\0b", "embedded null"),
        ("x" * 256, "File name too long"),
        ("\ud800", "surrogates"),
    ):
        with pytest.raises(MicrogptError, match=f"cannot write .*: .*{reason}"):
            write_atomically(tmp_path / name, b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MicrogptError, match=r"cannot write .*pipe: Not a regular file"):
        write_atomically(tmp_path / "pipe", b"")
    assert names(tmp_path) == ["pipe"]
