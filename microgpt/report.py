"""How a run looks: a progress bar on a terminal, plain lines elsewhere. All of it on standard error."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from microgpt.run import Result, Summary
from microgpt.workspace import readable

# off a terminal every so many reports are printed, of a hundred in a run
REPORTS_PER_LINE = 5


class Display:
    """Shows a run to a person; with `as_json`, also every report on standard output as a line of JSON."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.as_json = as_json
        self.progress: Progress | None = None
        self.task: Any = None
        self.n_reports = 0
        self.steps = 0
        self.first = 0

    def started(self, s: Summary) -> None:
        for line in summary_lines(s):
            self.note(line)
        self.steps, self.first = s.steps, s.step
        if self.console.is_terminal:
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.progress.add_task("train", total=s.steps, completed=s.step, figures="")
            self.progress.start()

    def advanced(self, metrics: dict[str, Any]) -> None:
        if self.progress is not None:
            figures = (
                f"loss {metrics['loss']:.3f}  smoothed {metrics['smoothed_loss']:.3f}  "
                f"{metrics['chars_per_s']:,.0f} chars/s"
            )
            self.progress.update(self.task, completed=metrics["step"], figures=figures)

    def reported(self, metrics: dict[str, Any]) -> None:
        self.n_reports += 1
        if self.as_json:
            print(json.dumps(metrics), flush=True)
        last = metrics["step"] == self.steps
        if self.progress is None and (self.n_reports % REPORTS_PER_LINE == 0 or last):
            self.note(self._line(metrics))

    def _line(self, metrics: dict[str, Any]) -> str:
        done = max(metrics["step"] - self.first, 1)
        left = (self.steps - metrics["step"]) * metrics["elapsed_s"] / done if not self.first else None
        validation = "" if metrics["val_loss"] is None else f"  validation {metrics['val_loss']:.4f}"
        return (
            f"step {metrics['step']}/{self.steps}  loss {metrics['loss']:.4f}  "
            f"smoothed {metrics['smoothed_loss']:.4f}{validation}  {metrics['chars_per_s']:,.0f} chars/s"
            + (f"  {left:.0f} s left" if left else "")
        )

    def sampled(self, step: int, text: str) -> None:
        if step < self.steps:
            self.note(f"--- sample at step {step}\n{text}\n---")

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    def finished(self, result: Result) -> None:
        """How it went, a sample, and the next command to type."""
        validation = "" if result.val_loss is None else f", validation loss {result.val_loss:.4f}"
        loss = "none yet" if result.loss is None else f"{result.loss:.4f}"
        self.note(
            f"step {result.step} of {result.steps} after {result.elapsed_s:.1f} s: "
            f"smoothed loss {loss}{validation}"
        )
        if self.as_json:
            print(json.dumps(asdict(result)), flush=True)
        elif result.sample:
            print(result.sample, flush=True)
        if result.interrupted:
            self.note(f"interrupted and saved; to go on: microgpt train --resume {result.out}")
        else:
            self.note(f"next: microgpt generate {result.out} --length 1000")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


def summary_lines(s: Summary) -> list[str]:
    """What was read, what to expect of the loss, and what will run."""
    held_out = f", the last {s.validation_characters:,} held out" if s.validation_characters else ""
    floor = f", entropy of its source {s.known_entropy:.3f}" if s.known_entropy is not None else ""
    where = f"from step {s.step} of {s.steps}" if s.step else f"{s.steps} steps"
    threads = f"{s.threads} thread{'s' if s.threads > 1 else ''}"
    return [
        f"{s.file}: {s.characters:,} characters, {s.vocabulary} distinct{held_out}; "
        f"{s.parameters:,} parameters, heads {s.heads}, {s.backend}, {threads}, {readable(s.memory)}; "
        f"{where}, results in {s.out}",
        f"losses in nats per character; to compare: ln V {s.uniform_entropy:.3f}, "
        f"unigram {s.unigram_entropy:.3f}, bigram {s.bigram_entropy:.3f}{floor}",
    ]
