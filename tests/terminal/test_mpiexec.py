import pytest

from microgpt.terminal.mpiexec import RANKS, SIZES, n_ranks, rank


@pytest.fixture(autouse=True)
def without(monkeypatch):
    for name in RANKS + SIZES:
        monkeypatch.delenv(name, raising=False)


def test_a_process_without_mpiexec_is_alone():
    assert (n_ranks(), rank()) == (1, 0)


@pytest.mark.parametrize(("size", "number"), list(zip(SIZES, RANKS, strict=True)))
def test_a_process_of_mpiexec(monkeypatch, size, number):
    monkeypatch.setenv(size, "4")
    monkeypatch.setenv(number, "3")
    assert (n_ranks(), rank()) == (4, 3)


def test_words_are_no_numbers(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    monkeypatch.setenv("PMI_SIZE", "words")
    monkeypatch.setenv("PMI_RANK", "")
    assert (n_ranks(), rank()) == (4, 0)
