"""Shows a run on standard error: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.status import Status

from microgpt.machine.budget import format_bytes
from microgpt.terminal.harmless import harmless
from microgpt.terminal.interruption import clean_up
from microgpt.terminal.invocation import pasteable, resuming
from microgpt.terminal.streams import lost
from microgpt.text.ngrams import UNFITTED_WEIGHT, mixture, ngram_name
from microgpt.text.opening import text_name
from microgpt.training.reporter import Mixture, Result, Summary

# Off a terminal, one report in five is printed, of about a hundred in a run; where reports are further apart
# than LINE_SECONDS, lines of how far the run is come between them.
REPORTS_PER_LINE = 5
LINE_SECONDS = 10.0
# columns: the bar leaves room for the figures, and for the ^C that a terminal shows
NARROWEST_BAR, WIDEST_BAR = 8, 20


class Display:
    """Shows a run to a person; with `as_json`, also every report on standard output as a line of JSON."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, emoji=False)
        # a terminal can rewrite a line, unless it is as simple as the one in some editors
        self.live = sys.stderr.isatty() and not self.console.is_dumb_terminal
        self.as_json = as_json
        clean_up(self.close)
        self.progress: Progress | None = None
        self.status: Status | None = None
        self.task: Any = None
        self.said: set[str] = set()
        self.n_reports = 0
        self.line_at = time.monotonic()
        self.steps = 0
        self.uniform_entropy = 0.0
        self.from_standard_input = False
        self.said_so = False

    def started(self, s: Summary) -> None:
        for line in summary_lines(s):
            self.note(line)
        self.from_standard_input = s.file == "-"
        self.steps, self.uniform_entropy, self.line_at = s.steps, s.uniform_entropy, time.monotonic()

    def working(self, what: str, so_far: str) -> None:
        """Show what takes a while: in a line that is rewritten on a terminal, and printed once elsewhere."""
        if not self.live:
            if what not in self.said:
                self.said.add(what)
                self.note(f"{what} ...")
        elif self.progress is not None:
            self.progress.update(self.task, figures=f"{what} ({so_far})")
        elif self.status is None:
            self.status = self.console.status(f"{what} ({so_far})")
            self.status.start()
        else:
            self.status.update(f"{what} ({so_far})")

    def idle(self) -> None:
        if self.status is not None:
            self.status.stop()
            self.status = None

    def advanced(self, metrics: dict[str, Any]) -> None:
        if self.live:
            self._show_bar(metrics)
        elif time.monotonic() - self.line_at > LINE_SECONDS:
            self._print_line(metrics)

    def _show_bar(self, metrics: dict[str, Any]) -> None:
        if self.progress is None:
            self.progress = Progress(
                TextColumn("{task.fields[figures]}"),
                BarColumn(bar_width=WIDEST_BAR if self.console.width >= 100 else NARROWEST_BAR),
                console=self.console,
                redirect_stdout=sys.stdout.isatty(),  # else results would go where the bar goes
                transient=True,  # the last report says the same
            )
            self.task = self.progress.add_task("train", total=self.steps, figures="")
            self.progress.start()
        self.progress.update(self.task, completed=metrics["step"], figures=self._fitting(metrics))

    def _fitting(self, metrics: dict[str, Any]) -> str:
        """The figures for which the terminal is wide enough."""
        figures = self._figures(metrics)
        room = self.console.width - NARROWEST_BAR - 4
        for least in ("speed", "validation", "smoothed", "loss", "left"):
            if len("  ".join(figures.values())) <= room:
                break
            figures.pop(least, None)
        return "  ".join(figures.values())

    def _figures(self, metrics: dict[str, Any]) -> dict[str, str]:
        figures = {
            "step": f"step {metrics['step']}/{self.steps}",
            "loss": f"loss {metrics['loss']:.4f}",
            "smoothed": f"smoothed {metrics['smoothed_loss']:.4f}",
        }
        if metrics["val_loss"] is not None:
            figures["validation"] = f"validation {metrics['val_loss']:.4f}"
        figures["speed"] = f"{metrics['chars_per_s']:,.0f} chars/s"
        if left := self._seconds_left(metrics):
            figures["left"] = f"{duration(left)} left"
        return figures

    def _seconds_left(self, metrics: dict[str, Any]) -> float:
        step, speed = metrics["step"], metrics["chars_per_s"]
        return (self.steps - step) * metrics["chars"] / step / speed if speed else 0.0

    def reported(self, metrics: dict[str, Any]) -> None:
        self.n_reports += 1
        if self.as_json:
            print(json.dumps(metrics), flush=True)
            self._say_if_output_is_lost()
        has_score = metrics["val_loss"] is not None
        due = self.n_reports % REPORTS_PER_LINE == 0 or metrics["step"] == self.steps
        if has_score or (due and not self.live):
            self._print_line(metrics)

    def _say_if_output_is_lost(self) -> None:
        error = lost(sys.stdout)
        if error is not None and not self.said_so:
            self.said_so = True
            self.note(f"standard output is lost ({error.strerror or error}): the run goes on, and is saved")

    def _print_line(self, metrics: dict[str, Any]) -> None:
        self.note("  ".join(self._figures(metrics).values()))
        self.line_at = time.monotonic()

    def sampled(self, step: int, text: str) -> None:
        if step < self.steps:
            self.note(f"--- sample at step {step}\n{text}\n---")

    def note(self, text: str, *, wrapped: bool = True) -> None:
        """Print a line that stays; with `wrapped`, a terminal gets it broken between words.

        That would spoil a command to paste.
        """
        is_terminal = self.console.is_terminal
        self.console.print(
            harmless(text) if is_terminal else text, markup=False, soft_wrap=not (wrapped and is_terminal)
        )

    def finished(self, result: Result) -> None:
        """Print how it went, a sample, and the next command to type."""
        self.close()
        loss = "none yet" if result.loss is None else f"{result.loss:.4f}"
        self.note(
            f"step {result.step} of {result.steps} after {result.elapsed_s:.1f} s: smoothed loss {loss}"
            + _validation(result)
        )
        if result.mixture is not None and result.val_loss is not None:
            self.note(_parts_of(result.mixture, result.val_loss))
        if self.as_json:
            print(json.dumps(asdict(result)), flush=True)
        elif result.sample:
            print(harmless(result.sample) if sys.stdout.isatty() else result.sample, flush=True)
        if result.interrupted:
            self._say_how_to_go_on(result)
            return
        if result.step >= 100 and result.loss is not None and result.loss > self.uniform_entropy + 0.1:
            self.note(
                f"this is worse than guessing, which has a loss of ln V = {self.uniform_entropy:.4f}: "
                "the learning rate may be too high; try a smaller --lr"
            )
        if not result.sample:
            self.note("the last sample was not waited for")
        if result.out is not None:
            self.note(f"next: {pasteable('generate', Path(result.out), '--length', 1000)}", wrapped=False)

    def _say_how_to_go_on(self, result: Result) -> None:
        if result.out is None:
            self.note("interrupted")
            return
        text = ["-"] if self.from_standard_input else []
        command = resuming(Path(result.out), *text)
        if text:
            command = f"cat FILE | {command}"
        self.note(f"interrupted and saved; to go on: {command}", wrapped=False)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.idle()
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


def _validation(result: Result) -> str:
    """The validation loss, and the best one if that was earlier: the model then learns its text by heart."""
    if result.val_loss is None:
        return ""
    said = f", validation loss {result.val_loss:.4f}"
    if result.best_val_loss is None or result.best_step == result.step:
        return said
    return f"{said}, best {result.best_val_loss:.4f} at step {result.best_step}, which generate and eval take"


def _parts_of(m: Mixture, together: float) -> str:
    """What each part of a model with n-grams reaches alone."""
    return (
        f"validation of both together {together:.4f}, of the network alone {m.network_val_loss:.4f}, of the "
        f"{ngram_name(m.order)}s alone {m.ngram_val_loss:.4f}; {mixture(m.order, m.ngram_weight)}"
    )


def duration(seconds: float) -> str:
    """75 -> '1:15 min'"""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02} h"


def summary_lines(s: Summary) -> list[str]:
    """What was read, what to expect of the loss, and what will run."""
    held_out = f", the last {s.validation_characters:,} held out" if s.validation_characters else ""
    floor = f", entropy of its source {s.known_entropy:.3f}" if s.known_entropy is not None else ""
    bigram = f", bigram {s.bigram_entropy:.3f}" if s.bigram_entropy is not None else ""
    where = f"from step {s.step} of {s.steps}" if s.step else f"{s.steps} steps"
    weights = f" with the weights of {s.weights}" if s.weights and not s.step else ""
    threads = f"{s.threads} thread{'s' if s.threads > 1 else ''}"
    out = f", results in {s.out}" if s.out is not None else ""
    snapshots = f", {s.snapshots} snapshots on the way" if s.snapshots else ""
    falling = "" if s.schedule == "constant" else f", {s.schedule} down to {s.rates.min_lr:.4g}"
    warmup = f", after {s.rates.warmup} steps of warm-up" if s.rates.warmup else ""
    return [
        f"{text_name(s.file)}: {s.characters:,} characters, {s.vocabulary:,} distinct{held_out}; "
        f"{s.parameters:,} parameters, heads {s.heads}, {s.backend}, {threads}, {format_bytes(s.memory)}; "
        f"{where}{weights}{out}{snapshots}",
        f"losses in nats per character; to compare: ln V {s.uniform_entropy:.3f}, "
        f"unigram {s.unigram_entropy:.3f}{bigram}{floor}",
        f"learning rate {s.rates.lr:.4g}{falling}{warmup}; beta2 {s.rates.beta2:g}",
        *_about_ngrams(s),
    ]


def _about_ngrams(s: Summary) -> list[str]:
    if not s.ngrams:
        return []
    lower = f", the highest order that can be counted of {s.vocabulary:,} distinct characters"
    formula, fitted = mixture(s.ngrams, UNFITTED_WEIGHT), "; nothing is held out to fit the weight"
    if s.validation_characters:
        formula = f"p = (1 - w) network + w {ngram_name(s.ngrams)}s"
        fitted = "; each evaluation fits the weight w on the held-out text"
    return [
        f"{formula}{lower if s.ngrams < s.ngrams_wanted else ''}; "
        f"{s.n_ngrams:,} different ones in the text to train on{fitted}; "
        "validation and samples are of both together, the other losses of the network alone"
    ]
