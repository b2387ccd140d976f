"""Snapshots: small files with the weights that a run had at some of its steps, for a film of its training."""

from __future__ import annotations

import re
from pathlib import Path

from microgpt.errors import MicrogptError, shown_path

DIRECTORY = "snapshots"  # in that of the run
NAME = re.compile(r"(\d{6,19})\.safetensors")


def snapshot_steps(steps: int, wanted: int) -> tuple[int, ...]:
    """After which steps of a run it keeps its weights: the first is 0, and the last one the run's last.

    With n of them, the i-th from 0 is that of the step

        max(i, steps * (i / (n - 1))^2)

    and so half of them are in the first quarter of the run, where most changes. A run of fewer steps has one
    for each step, and one for its beginning.

    wanted  at least 2
    """
    n = min(wanted, steps + 1)
    return tuple(max(i, round(steps * (i / (n - 1)) ** 2)) for i in range(n))


def snapshot_file(run: Path, step: int) -> Path:
    """Where a run's directory has the weights of a step."""
    return run / DIRECTORY / f"{step:06}.safetensors"


def snapshots(run: Path) -> dict[int, Path]:
    """The files of a run's directory by their steps, in this order. Raises MicrogptError."""
    directory = run / DIRECTORY
    try:
        names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    except OSError as error:
        raise MicrogptError(f"cannot read {shown_path(directory)}: {error.strerror}") from None
    found = {int(match[1]): directory / match[0] for name in names if (match := NAME.fullmatch(name))}
    return dict(sorted(found.items()))


def remove_later(run: Path, step: int) -> None:
    """Remove those of later steps: a run that goes on at this step takes them again. Raises MicrogptError."""
    for later, file in snapshots(run).items():
        if later > step:
            try:
                file.unlink()
            except OSError as error:
                raise MicrogptError(f"cannot remove {shown_path(file)}: {error.strerror}") from None
