"""A run as its directory tells it: its options, its curves, its samples, its machine and versions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microgpt.checkpoint.saved import STATE_FILE, read_description
from microgpt.config import TrainConfig, read_toml
from microgpt.corpora.corpus import known_entropy
from microgpt.errors import MicrogptError, shown_path
from microgpt.fields import build
from microgpt.report.copies import copies
from microgpt.report.curves import Curves
from microgpt.training import logs
from microgpt.training.directory import CONFIG_FILE

# Options that say nothing about what a run learns, so that no two runs are told apart by them
NO_DIFFERENCE = frozenset({"out", "memory_cap", "eval_every", "sample_every", "snapshots"})
OF_REPLICAS = ("outer_lr", "outer_momentum")


@dataclass
class Record:
    """What is known of a run.

    starts   what it began with, each time that it was begun or resumed
    samples  the step and the text of each
    """

    directory: Path
    config: TrainConfig
    starts: list[dict[str, Any]]
    curves: Curves = field(default_factory=Curves)
    samples: list[tuple[int, str]] = field(default_factory=list)

    def state(self, *, writing: bool) -> str:
        """How it stands: done, running, or stopped before its end."""
        if self.curves.training.last_step >= self.config.steps:
            return "done"
        return "running" if writing else "stopped"

    def as_json(
        self, name: str, n_points: int, n_samples: int, *, writing: bool, with_copies: bool = False
    ) -> dict[str, Any]:
        """The run in lists, dictionaries and numbers, with at most this many points of each curve.

        name         what it is called
        writing      whether a process goes on with it
        with_copies  whether the text is read that it was trained on, to find copies in the samples
        """
        samples = chosen(self.samples, n_samples)
        found = (
            copies(self.directory, [text for _, text in samples]) if with_copies else [None] * len(samples)
        )
        return {
            "name": name,
            "directory": shown_path(self.directory),
            "state": self.state(writing=writing),
            "options": options(self.config),
            "starts": self.starts,
            "training": self.curves.training.thinned(n_points),
            "validation": self.curves.validation.thinned(n_points),
            "n_samples": len(self.samples),
            "samples": [
                {"step": step, "text": text, "copies": each}
                for (step, text), each in zip(samples, found, strict=True)
            ],
        }


def is_run(directory: Path) -> bool:
    return (directory / logs.METRICS_FILE).exists() or (directory / CONFIG_FILE).exists()


def read(directory: Path) -> Record:
    """What a run's directory holds at this moment. Raises MicrogptError."""
    file = directory / CONFIG_FILE
    config = build(TrainConfig, read_toml(file), str(file))
    record = Record(directory, config, list(logs.starts(directory)) or _of_checkpoint(directory))
    for report in logs.reports(directory):
        record.curves.add(report)
    if not len(record.curves.training):
        name = shown_path(directory)
        if (directory / STATE_FILE).exists():
            raise MicrogptError(
                f"{name} has a checkpoint, but no reports: {logs.METRICS_FILE} is gone or empty"
            )
        raise MicrogptError(f"{name} has no reports yet: wait until its first steps are done")
    record.samples += logs.samples(directory)
    return record


def _of_checkpoint(directory: Path) -> list[dict[str, Any]]:
    """What a checkpoint knows of the beginning of a run of an earlier version, which wrote down no start."""
    path = directory / STATE_FILE
    if not path.exists():
        return []
    saved = read_description(path)
    return [
        {
            "step": 0,
            "vocabulary": len(saved.vocabulary),
            "uniform_entropy": math.log(len(saved.vocabulary)),
            "known_entropy": known_entropy(str(saved.notes.get("text_sha256"))),
            "characters": saved.notes.get("text_characters"),
            "microgpt": saved.notes.get("microgpt"),
        }
    ]


def options(config: TrainConfig) -> dict[str, Any]:
    """All options of a run but its directory, those that were left open as they came out; None for what only
    replicas have, in a run without."""
    values = dataclasses.asdict(config.resolved())
    del values["out"]
    return values if config.replicas is not None else values | dict.fromkeys(OF_REPLICAS)


def different(records: Sequence[Record]) -> list[str]:
    """The options in which runs differ, in the order of TrainConfig; one that all have left open, and that
    follows from others, is no difference."""
    first, *others = [options(record.config) for record in records] or [{}]
    return [
        name
        for name, value in first.items()
        if name not in NO_DIFFERENCE
        and any(other[name] != value for other in others)
        and any(getattr(record.config, name) is not None for record in records)
    ]


def names(directories: Sequence[Path]) -> list[str]:
    """What each directory is called: by its last name, or by as many as tell it from the others."""
    parts = [directory.absolute().parts for directory in directories]
    found = []
    for own in parts:
        n = 1
        while n < len(own) and sum(other[-n:] == own[-n:] for other in parts) > 1:
            n += 1
        found.append(shown_path(Path(*own[-n:])))
    return found


def chosen(samples: Sequence[tuple[int, str]], most: int) -> list[tuple[int, str]]:
    """At most this many of the samples, evenly over all of them, the last one among them."""
    n = min(most, len(samples))
    return [samples[len(samples) - 1 - (len(samples) - 1) * i // max(1, n - 1)] for i in reversed(range(n))]
