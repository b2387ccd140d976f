"""A sample of the faults; `just test-faults` runs them in their full numbers."""

import importlib
import os

import pytest
from mpi_processes import NEEDED

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes to do harm to are forks")
# texts and kernels have theirs beside what they are about; a signal to a cold start takes its time
SAMPLES = {
    "kills": 6,
    "checkpoints": 400,
    "options": 40,
    "full_disks": 4,
    "races": 3,
    "race_kills": 2,
    "signals": 6,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_lost_and_nothing_is_a_traceback(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # and back
    print(importlib.import_module(f"faults.{name}").run(SAMPLES[name], 1, tmp_path))


class TestProcesses:
    pytestmark = NEEDED

    def test_the_loss_of_a_process_costs_no_run(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # and back
        print(importlib.import_module("faults.rank_kills").run(3, 1, tmp_path))
