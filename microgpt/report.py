"""How a run looks: a progress bar on a terminal, plain lines elsewhere. All of it on standard error."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from microgpt.run import Result, Summary
from microgpt.workspace import readable

# off a terminal every so many reports are printed, of a hundred in a run
REPORTS_PER_LINE = 5


class _Console(Console):
    """Where nobody reads any more, a run ends as by Ctrl-C, with a checkpoint; Rich would just exit."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        signal.raise_signal(signal.SIGINT)


class Display:
    """Shows a run to a person; with `as_json`, also every report on standard output as a line of JSON."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.console = _Console(stderr=True, highlight=False, soft_wrap=True)
        self.as_json = as_json
        self.progress: Progress | None = None
        self.task: Any = None
        self.n_reports = 0
        self.steps = 0

    def started(self, s: Summary) -> None:
        for line in summary_lines(s):
            self.note(line)
        self.steps = s.steps
        if sys.stderr.isatty():
            self.progress = Progress(
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=self.console,
                redirect_stdout=sys.stdout.isatty(),  # else results would go where the bar goes
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
            try:
                print(json.dumps(metrics), flush=True)
            except BrokenPipeError:
                self.as_json = False
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # closing it must not fail once more
                signal.raise_signal(signal.SIGINT)
        last = metrics["step"] == self.steps
        if self.progress is None and (self.n_reports % REPORTS_PER_LINE == 0 or last):
            self.note(self._line(metrics))

    def _line(self, metrics: dict[str, Any]) -> str:
        step = metrics["step"]
        left = (self.steps - step) * metrics["chars"] / step / metrics["chars_per_s"]
        validation = "" if metrics["val_loss"] is None else f"  validation {metrics['val_loss']:.4f}"
        return (
            f"step {step}/{self.steps}  loss {metrics['loss']:.4f}  "
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
    bigram = f", bigram {s.bigram_entropy:.3f}" if s.bigram_entropy is not None else ""
    floor = f", entropy of its source {s.known_entropy:.3f}" if s.known_entropy is not None else ""
    where = f"from step {s.step} of {s.steps}" if s.step else f"{s.steps} steps"
    threads = f"{s.threads} thread{'s' if s.threads > 1 else ''}"
    return [
        f"{s.file}: {s.characters:,} characters, {s.vocabulary} distinct{held_out}; "
        f"{s.parameters:,} parameters, heads {s.heads}, {s.backend}, {threads}, {readable(s.memory)}; "
        f"{where}, results in {s.out}",
        f"losses in nats per character; to compare: ln V {s.uniform_entropy:.3f}, "
        f"unigram {s.unigram_entropy:.3f}{bigram}{floor}",
    ]
