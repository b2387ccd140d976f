"""How many threads a run takes."""

import os

import pytest

from microgpt.errors import MicrogptError
from microgpt.machine.cores import WORTH_SHARING, available_cores, choose_threads


def test_threads_are_as_many_as_are_wanted_and_useful(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    # never more than shards, which is what a thread takes
    assert [choose_threads(None, WORTH_SHARING, n_shards) for n_shards in (1, 2, 3, 4)] == [1, 2, 3, 3]
    # one where a step is too short; but who asks for more gets them
    assert choose_threads(None, WORTH_SHARING - 1, 4) == 1
    assert choose_threads(3, WORTH_SHARING - 1, 4) == 3
    assert choose_threads(1, WORTH_SHARING, 4) == 1
    with pytest.raises(MicrogptError, match=r"^--threads 4: this machine has 3 cores to give$"):
        choose_threads(4, WORTH_SHARING, 1)


@pytest.mark.parametrize("said", ["", "0", "-1", "many"])
def test_what_is_no_number_of_threads_is_not_the_user_s_word(monkeypatch, said):
    monkeypatch.setenv("NUMBA_NUM_THREADS", said)
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_the_user_s_word_counts(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "77")
    assert available_cores() == 77


def test_processes_of_mpiexec_share_the_cores(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(MicrogptError, match=r"^--threads 2: each process of mpiexec has 1 core to give$"):
        choose_threads(2, WORTH_SHARING, 4)
