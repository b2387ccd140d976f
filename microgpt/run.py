"""A training run: from a configuration to a run directory, with reports, samples, checkpoints and Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from microgpt import __version__, checkpoint, corpus
from microgpt.checkpoint import BEST_FILE, STATE_FILE, Progress, SavedModel, SavedState
from microgpt.config import ModelConfig, TrainConfig, to_toml
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.evaluate import Evaluator
from microgpt.files import write_atomically
from microgpt.generate import Generator, Sampling, encode_prompt
from microgpt.heads import format_layout
from microgpt.machine import announced, choose_threads, finishing_the_step, load_backend
from microgpt.text import Text, entropies, read_text
from microgpt.train import LOG_SLOTS, Trainer
from microgpt.walk import split
from microgpt.workspace import Budget

CONFIG_FILE, METRICS_FILE, SAMPLES_FILE = "config.toml", "metrics.jsonl", "samples.txt"
SAMPLE_LENGTH = 300
# Python looks at a run so often: for Ctrl-C, the progress bar and the next report
LOOK_SECONDS = 0.1
CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Summary:
    """What was read and what will run."""

    file: str
    characters: int
    vocabulary: int
    parameters: int
    heads: str
    backend: str
    threads: int
    shards: int
    memory: int  # bytes
    out: str
    steps: int
    step: int  # where the run begins: 0, or where it resumes
    validation_characters: int
    uniform_entropy: float  # ln V; these are in nats per character
    unigram_entropy: float
    bigram_entropy: float
    known_entropy: float | None  # of the text's own source


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    out: str
    step: int
    steps: int
    loss: float | None  # smoothed
    val_loss: float | None
    elapsed_s: float
    sample: str
    interrupted: bool


class Reporter(Protocol):
    """Whoever shows a run to its user."""

    def started(self, summary: Summary) -> None: ...
    def advanced(self, metrics: dict[str, Any]) -> None: ...
    def reported(self, metrics: dict[str, Any]) -> None: ...
    def sampled(self, step: int, text: str) -> None: ...
    def note(self, text: str) -> None: ...


def train(config: TrainConfig, reporter: Reporter, saved: SavedState | None = None) -> Result:
    """Run until config.steps are done or Ctrl-C; `saved` is the state to resume.

    Raises MicrogptError, before anything is written where it can be foreseen.
    """
    k = load_backend(config.backend)
    text = read_text(Path(config.file))
    model = config.model(len(text.vocabulary))
    if saved is not None:
        checkpoint.check_resumable(saved, model, config, text)
    threads = choose_threads(k, config, model)
    out = choose_directory(config, resuming=saved is not None)
    config = dataclasses.replace(config, out=str(out))
    run = Run(k, config, model, text, out)
    if saved is not None:
        run.restore(saved)
    reporter.started(run.summary(threads))
    k.set_threads(threads)
    with announced(reporter, "compiling the kernels for this machine; later starts skip this"):
        run.trainer.compile()
    # only now, so that whoever stops a long compilation leaves no half-made run behind
    run.open_directory(resuming=saved is not None)
    return run.go(reporter)


class Run:
    """A run's arrays, its place, and what it writes."""

    def __init__(self, k: ModuleType, config: TrainConfig, model: ModelConfig, text: Text, out: Path) -> None:
        self.config, self.model, self.text, self.out = config, model, text, out
        self.train_ids, self.val_ids = split(text.ids, config.val_fraction)
        self.budget = Budget(config.memory_cap_bytes)
        self.budget.book(text.ids.nbytes, "the text", "train on a part of it")
        self.trainer = Trainer(k, model, config, self.train_ids, self.budget)
        p, c = self.trainer.state.p, self.trainer.state.c
        self.evaluator = (
            Evaluator(k, model, p, c, self.budget, self.val_ids) if config.val_fraction > 0 else None
        )
        self.generator = Generator(k, model, p, c, self.budget)
        self.average = 0.0  # of the losses, begun at 0
        self.val_loss: float | None = None
        self.best_val_loss: float | None = None
        self.best_step: int | None = None
        self.elapsed = 0.0
        # losses, norms and seconds since the last report
        self.recent: list[float] = [0.0, 0.0, 0.0, 0.0]

    def summary(self, threads: int) -> Summary:
        unigram, bigram = entropies(self.train_ids, len(self.text.vocabulary))
        return Summary(
            file=self.config.file,
            characters=len(self.text.ids),
            vocabulary=len(self.text.vocabulary),
            parameters=len(self.trainer.state.o.param),
            heads=format_layout(self.model.heads),
            backend=self.config.backend,
            threads=threads,
            shards=len(self.trainer.state.a.scratch),
            memory=self.budget.held,
            out=str(self.out),
            steps=self.config.steps,
            step=self.trainer.step,
            validation_characters=len(self.val_ids),
            uniform_entropy=math.log(len(self.text.vocabulary)),
            unigram_entropy=unigram,
            bigram_entropy=bigram,
            known_entropy=corpus.known_entropy(self.text.sha256),
        )

    def go(self, reporter: Reporter) -> Result:
        """Step until the end or Ctrl-C, then write the checkpoint and a sample."""
        config, trainer = self.config, self.trainer
        saved_at, speed = time.monotonic(), 0.0
        report_every = max(1, config.steps // 100)
        with finishing_the_step() as interrupted:
            while trainer.step < config.steps and not interrupted():
                step = trainer.step
                n = max(1, min(int(speed * LOOK_SECONDS), LOG_SLOTS))
                for every in (report_every, config.eval_every, config.sample_every):
                    if every is not None:
                        n = min(n, every - step % every)
                speed = self._advance(min(n, config.steps - step), reporter)
                step = trainer.step
                last = step == config.steps
                if self.evaluator and (last or _is_due(step, config.eval_every)):
                    self._evaluate(self.evaluator, reporter)
                if last or _is_due(step, report_every):
                    self._report(reporter)
                if not last and _is_due(step, config.sample_every):
                    self._sample(reporter)
                if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                    self.save()
                    saved_at = time.monotonic()
            self.save()
            stopped = trainer.step < config.steps
            sample = "" if stopped else self._sample(reporter)
        return Result(
            out=str(self.out),
            step=trainer.step,
            steps=config.steps,
            loss=self.smoothed,
            val_loss=self.val_loss,
            elapsed_s=self.elapsed,
            sample=sample,
            interrupted=stopped,
        )

    def _advance(self, n: int, reporter: Reporter) -> float:
        """n steps; returns steps per second."""
        begin = time.perf_counter()
        try:
            losses = self.trainer.advance(n)
        except NotFiniteError as error:
            try:
                self.save()
                kept = f"the weights from before it are in {self.out}"
            except MicrogptError:  # a checkpoint takes finite weights only
                kept = "the weights from before it are not finite either, and are not saved"
            raise NotFiniteError(f"{error}; {kept}; a smaller --lr may help") from None
        seconds = time.perf_counter() - begin
        for loss in losses.loss.tolist():
            self.average = 0.99 * self.average + 0.01 * loss
        total, norms, count, time_spent = self.recent
        self.recent = [
            total + math.fsum(losses.loss.tolist()),
            norms + math.fsum(losses.grad_norm.tolist()),
            count + n,
            time_spent + seconds,
        ]
        self.elapsed += seconds
        reporter.advanced(self._metrics())
        return n / seconds

    @property
    def smoothed(self) -> float | None:
        """The average loss, without the bias of its beginning at 0."""
        step = self.trainer.step
        return self.average / (1 - 0.99**step) if step else None

    def _metrics(self) -> dict[str, Any]:
        total, norms, count, seconds = self.recent
        trainer, step = self.trainer, self.trainer.step
        count = max(count, 1)
        return {
            "step": step,
            "epoch": trainer.epoch,
            "chars": trainer.characters(step),
            "loss": total / count,
            "smoothed_loss": self.smoothed,
            "val_loss": self.val_loss,
            "lr": self.config.learning_rate(step - 1),
            "grad_norm": norms / count,
            "chars_per_s": trainer.characters(int(count)) / seconds if seconds else 0.0,
            "elapsed_s": self.elapsed,
        }

    def _report(self, reporter: Reporter) -> None:
        metrics = self._metrics()
        with (self.out / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        self.recent = [0.0, 0.0, 0.0, 0.0]
        reporter.reported(metrics)

    def _evaluate(self, evaluator: Evaluator, reporter: Reporter) -> None:
        with announced(reporter, "evaluating on the held-out text"):
            self.val_loss = evaluator.score().nats
        if self.best_val_loss is None or self.val_loss < self.best_val_loss:
            self.best_val_loss, self.best_step = self.val_loss, self.trainer.step
            checkpoint.save_model(self.out / BEST_FILE, self._saved_model(), self.trainer.host("param"))

    def _sample(self, reporter: Reporter) -> str:
        with announced(reporter, "compiling the generator; later starts skip this"):
            pieces = self.generator.stream(
                encode_prompt(self.text.vocabulary, ""),
                SAMPLE_LENGTH,
                Sampling(seed=self.config.seed + self.trainer.step),
            )
            text = "".join(self.text.vocabulary.decode(piece) for piece in pieces)
        with (self.out / SAMPLES_FILE).open("a", encoding="utf-8") as file:
            file.write(f"--- step {self.trainer.step}\n{text}\n")
        reporter.sampled(self.trainer.step, text)
        return text

    def _saved_model(self) -> SavedModel:
        return SavedModel(config=self.model, vocabulary=self.text.vocabulary, notes=self._notes())

    def _notes(self) -> dict[str, Any]:
        return {
            "step": self.trainer.step,
            "loss": self.smoothed,
            "val_loss": self.val_loss,
            "text": self.config.file,
            "text_sha256": self.text.sha256,
            "text_characters": len(self.text.ids),
            "microgpt": __version__,
        }

    def save(self) -> None:
        """Write the checkpoint: the old one or this one is there whole, at any instant."""
        loss_sum, norm_sum, count, _ = self.recent
        trainer = self.trainer
        state = SavedState(
            config=self.model,
            vocabulary=self.text.vocabulary,
            notes=self._notes(),
            train=self.config,
            step=trainer.step,
            progress=Progress(
                average=self.average,
                val_loss=self.val_loss,
                best_val_loss=self.best_val_loss,
                best_step=self.best_step,
                loss_sum=loss_sum,
                norm_sum=norm_sum,
                count=int(count),
                evaluation_due=False,
            ),
        )
        checkpoint.save_state(self.out, state, *(trainer.host(name) for name in ("param", "m", "v")))

    def restore(self, saved: SavedState) -> None:
        """Go on exactly where the saved run was."""
        o, progress = self.trainer.state.o, saved.progress
        saved.read_into(self.trainer.k, {"": o.param, "m.": o.m, "v.": o.v})
        self.trainer.continue_from(saved.step)
        self.average, self.val_loss = progress.average, progress.val_loss
        self.best_val_loss, self.best_step = progress.best_val_loss, progress.best_step
        self.recent = [progress.loss_sum, progress.norm_sum, float(progress.count), 0.0]

    def open_directory(self, *, resuming: bool) -> None:
        """Write the configuration; a resumed run forgets reports from after its checkpoint."""
        self.out.mkdir(parents=True, exist_ok=True)
        write_atomically(self.out / CONFIG_FILE, to_toml(self.config).encode())
        metrics = self.out / METRICS_FILE
        if resuming and metrics.exists():
            lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if _step_of(line) <= self.trainer.step]
            write_atomically(metrics, "".join(kept).encode())


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _step_of(line: str) -> float:
    """The step of a line of metrics; infinity for half a line, which a crash can leave."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def choose_directory(config: TrainConfig, *, resuming: bool) -> Path:
    """Where the results go: never over another run's, unless it is resumed."""
    wanted = Path(config.resolved().out or "runs")
    taken = wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir()))
    if resuming or not taken:
        return wanted
    if config.out is not None:
        if not wanted.is_dir():
            raise MicrogptError(f"--out {wanted} is a file; name a directory")
        hint = f"--resume {wanted}" if (wanted / STATE_FILE).exists() else "an empty one"
        raise MicrogptError(f"--out {wanted} is not empty; use {hint}, or name another directory")
    number = 2
    while wanted.with_name(f"{wanted.name}-{number}").exists():
        number += 1
    return wanted.with_name(f"{wanted.name}-{number}")
