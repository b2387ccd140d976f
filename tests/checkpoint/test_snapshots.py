"""Which steps of a run have their weights kept, and where."""

import pytest

from microgpt.checkpoint.snapshots import remove_later, snapshot_file, snapshot_steps, snapshots


@pytest.mark.parametrize(
    ("steps", "wanted"), [(1, 2), (1, 60), (3, 2), (59, 60), (60, 60), (1000, 60), (10**9, 7)]
)
def test_steps_are_different_and_go_from_the_beginning_to_the_end(steps, wanted):
    chosen = snapshot_steps(steps, wanted)
    assert len(chosen) == min(wanted, steps + 1)
    assert (chosen[0], chosen[-1]) == (0, steps)
    assert list(chosen) == sorted(set(chosen))


def test_half_of_them_are_in_the_first_quarter():
    assert snapshot_steps(1600, 5) == (0, 100, 400, 900, 1600)
    assert sum(step <= 2500 for step in snapshot_steps(10000, 60)) == 30
    assert snapshot_steps(1000, 60)[:6] == (0, 1, 2, 3, 5, 7)


def test_files_are_found_by_their_steps_and_those_of_later_steps_removed(tmp_path):
    assert snapshots(tmp_path) == {}
    remove_later(tmp_path, 0)
    (tmp_path / "snapshots").mkdir()
    files = {step: snapshot_file(tmp_path, step) for step in (0, 25, 999_999, 1_000_000)}
    assert files[25] == tmp_path / "snapshots" / "000025.safetensors"
    other = tmp_path / "snapshots" / "mine.safetensors"
    for file in (*files.values(), other):
        file.touch()
    assert list(snapshots(tmp_path).items()) == list(files.items())
    remove_later(tmp_path, 25)
    assert list(snapshots(tmp_path)) == [0, 25]
    assert other.exists()
