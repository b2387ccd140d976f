"""Commands that are printed work as they are pasted."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from microgpt.terminal.invocation import pasteable, resuming


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The program as if it had been started so, with these folders on the path."""

    def start(name, *on_path):
        program = tmp_path / "bin" / "microgpt"
        program.parent.mkdir(exist_ok=True)
        program.touch(mode=0o755)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name.format(program=program)])
        monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / folder) for folder in on_path))
        return program

    return start


def test_by_its_name_only_where_that_finds_it(started):
    program = started("{program}", "bin")
    assert pasteable("info", "my run") == "microgpt info 'my run'"
    started("{program}", "elsewhere")
    assert pasteable("info") == shlex.join([str(program), "info"])
    started("bin/microgpt", "elsewhere")
    assert pasteable("info") == "bin/microgpt info"
    # another program of that name is first on the path
    (program.parent.parent / "other").mkdir()
    (program.parent.parent / "other" / "microgpt").touch(mode=0o755)
    started("bin/microgpt", "other", "bin")
    assert pasteable("info") == "bin/microgpt info"


def test_as_a_module(started):
    started("somewhere/microgpt/__main__.py", "nowhere")
    assert pasteable("info") == f"{shlex.quote(sys.executable)} -m microgpt info"


def test_a_run_of_several_processes_goes_on_in_as_many(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["another program"])
    assert resuming(Path("my run"), "-") == "microgpt train - --resume 'my run'"
    monkeypatch.setenv("PMI_SIZE", "3")
    assert resuming(Path("run")) == "mpiexec -n 3 microgpt train --resume run"
