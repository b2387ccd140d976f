"""Every head layout on every usable backend, trained for some steps: loss, time and steps a second."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import microgpt_kernels
import numpy as np

from microgpt.arrays import IdArray
from microgpt.config import TrainConfig
from microgpt.console import Display
from microgpt.corpora import tales
from microgpt.errors import MicrogptError, UsageError
from microgpt.machine.backends import compiled, load_backend
from microgpt.machine.budget import Budget
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.terminal.fitting import fitting_columns
from microgpt.text.reading import read_text
from microgpt.text.vocabulary import Vocabulary
from microgpt.training.trainer import LOG_SLOTS, Trainer, threads_for

BENCH_CHARACTERS = 200_000  # of the text that is written where none is given


@dataclass(frozen=True)
class Trial:
    """One head layout on one backend, trained for some steps."""

    heads: str
    backend: str
    threads: int
    steps: int
    loss: float  # average over the steps, in nats per character
    seconds: float
    steps_per_s: float


def usable(backend: str | None) -> list[str]:
    """The backend that was asked for, else all that can run here, without the slow reference."""
    if backend is not None:
        return [backend]
    names = (name for name in microgpt_kernels.BACKENDS if name != "reference")
    return [name for name in names if microgpt_kernels.status(name).usable]


def measure(
    steps: int, file: Path | None, backend: str | None, layout: str | None, display: Display, **options: Any
) -> Iterator[Trial]:
    """Each layout on each backend, without the time of compilation and of a first step.

    backend, layout  None for all of them
    options          those of `train`

    Raises UsageError where no layout fits the options.
    """
    configs = []
    for heads in [layout] if layout else HEAD_LAYOUTS:
        try:
            given = {"file": str(file or "tales"), "steps": steps, "heads": heads, **options}
            configs.append(TrainConfig(**RECIPES["plain"] | given))
        except MicrogptError as error:  # not every layout exists at every width
            reason = str(error)
            display.note(f"without {heads}: {reason}")
    if not configs:
        raise UsageError(reason)
    if display.live:
        display.working("loading", "the text and the backends")
    ids, n_characters = read_ids(file)
    for name in usable(backend):
        k = load_backend(name, display)
        for config in configs:
            architecture = config.architecture(n_characters)
            n_threads = threads_for(k, architecture, config)
            k.set_threads(n_threads)
            trainer = Trainer(place(k, architecture, Budget(config.memory_cap_bytes)), config, ids)
            compiled(display, trainer.compile)
            first_step_undone(trainer)
            begin, total, done = time.perf_counter(), 0.0, 0
            while done < steps:
                n = min(steps - done, LOG_SLOTS)
                total += float(trainer.advance(n).loss.sum(dtype="float64"))
                done += n
            seconds = time.perf_counter() - begin
            yield Trial(config.heads, name, n_threads, steps, total / steps, seconds, steps / seconds)


def first_step_undone(trainer: Trainer) -> None:
    """Take a step, which loads what only a step does, such as a GPU's code, and put the run back."""
    k, adam = trainer.k, trainer.state.adam
    before = [(buffer, np.array(k.to_host(buffer))) for buffer in (adam.param, adam.m, adam.v)]
    trainer.advance(1)
    for buffer, values in before:
        k.from_host(buffer, values)
    trainer.continue_from(0)


def read_ids(file: Path | None) -> tuple[IdArray, int]:
    """The ids of a text and the size of its vocabulary."""
    if file is not None:
        text = read_text(file)
        return text.ids, len(text.vocabulary)
    written = tales.write(BENCH_CHARACTERS, seed=0)
    vocabulary = Vocabulary("".join(sorted(set(written))))
    return vocabulary.encode(written).astype("uint8"), len(vocabulary)


def show(
    steps: int, file: Path | None, backend: str | None, heads: str | None, *, as_json: bool, **options: Any
) -> None:
    """Print the table, a row as soon as it is measured."""
    display = Display()
    widths = {"heads": 12, "backend": 9, "threads": 7, "steps": 6, "loss": 7, "time": 9, "steps/s": 9}
    names = fitting_columns(widths, ("steps", "threads"), gap=1)

    def line(cells: Iterable[str]) -> str:
        by_name = dict(zip(widths, cells, strict=True))
        left = ("heads", "backend")
        return " ".join(f"{by_name[name]:{'<' if name in left else '>'}{widths[name]}}" for name in names)

    for number, row in enumerate(measure(steps, file, backend, heads, display, **options)):
        if as_json:
            print(json.dumps(asdict(row)), flush=True)
        else:
            if number == 0:  # not above an error
                print(line(widths))
            cells = (row.heads, row.backend, str(row.threads), str(row.steps), f"{row.loss:.4f}")
            print(line((*cells, f"{row.seconds:.3f} s", f"{row.steps_per_s:,.0f}")), flush=True)
