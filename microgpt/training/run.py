"""A training run: from a configuration to a run directory, with reports, samples, checkpoints and Ctrl-C."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from microgpt import __version__
from microgpt.checkpoint.progress import BEGINNING, SMOOTHING
from microgpt.checkpoint.saved import BEST_FILE, MODEL_FILE, SavedModel, SavedState
from microgpt.checkpoint.writing import save_model, save_state
from microgpt.config import TrainConfig, to_toml
from microgpt.corpora import corpus
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.files import write_atomically
from microgpt.machine.backends import Listener, StoppedError, compiled, load_backend
from microgpt.machine.budget import Budget
from microgpt.model.architecture import Architecture
from microgpt.model.heads import format_layout
from microgpt.model.placed import place
from microgpt.terminal.interruption import cleaned_up, finishing_the_step
from microgpt.terminal.invocation import pasteable
from microgpt.text.entropy import entropies
from microgpt.text.reading import Text, encode_file, read_text
from microgpt.text.walk import split
from microgpt.training.directory import CONFIG_FILE, RunDirectory, claim
from microgpt.training.logs import SAMPLE_LENGTH, Logs
from microgpt.training.resuming import check_resumable
from microgpt.training.trainer import LOG_SLOTS, Trainer, threads_for
from microgpt.training.warm_start import starting_weights
from microgpt.use.evaluate import Evaluator
from microgpt.use.generate import Generator, Sampling, encode_prompt

# Python looks at a run so often: for Ctrl-C, the progress bar and the next report
LOOK_SECONDS = 0.1
CHECKPOINT_SECONDS = 60.0
# a report at least so often, however long a hundredth of the steps takes
REPORT_SECONDS = 30.0


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
    weights: str | None  # of which run it begins with
    validation_characters: int
    uniform_entropy: float  # ln V; these are in nats per character
    unigram_entropy: float
    bigram_entropy: float | None  # None where counting the pairs would take too much memory
    known_entropy: float | None  # of the text's own source


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    out: str
    step: int
    steps: int
    loss: float | None  # smoothed
    val_loss: float | None  # the last
    best_val_loss: float | None
    best_step: int | None
    elapsed_s: float
    sample: str
    interrupted: bool
    lost: str | None  # what could not be written, besides the checkpoint


class Reporter(Listener, Protocol):
    """Whoever shows a run to its user."""

    def started(self, summary: Summary) -> None: ...
    def advanced(self, metrics: dict[str, Any]) -> None: ...
    def reported(self, metrics: dict[str, Any]) -> None: ...
    def sampled(self, step: int, text: str) -> None: ...


def train(
    config: TrainConfig,
    reporter: Reporter,
    resumed: tuple[RunDirectory, SavedState] | None = None,
    weights: SavedModel | None = None,
    *,
    extend_vocabulary: bool = False,
) -> Result:
    """Run until config.steps are done or Ctrl-C.

    resumed            the directory and the state of the run to resume, which the caller has opened
    weights            what a new run begins with, instead of initial values
    extend_vocabulary  characters of the text that `weights` does not know join its vocabulary

    Raises MicrogptError, before anything is written where it can be foreseen.
    """
    k = load_backend(config.backend, reporter)
    budget = Budget(config.memory_cap_bytes)
    directory, saved = resumed or (None, None)
    text = _read(config, budget, saved, weights, extend_vocabulary=extend_vocabulary)
    architecture = config.architecture(len(text.vocabulary))
    if saved is not None:
        check_resumable(saved, architecture, config, text)
    threads = threads_for(k, architecture, config)
    run = Run(k, config, architecture, text, budget)
    if saved is not None:
        run.restore(saved)
    elif weights is not None:
        k.from_host(run.placed.param, starting_weights(weights, architecture, text.vocabulary, config.seed))
    owned = contextlib.nullcontext(directory) if directory else claim(config.out, config.default_out)
    with owned as directory:
        with cleaned_up(directory.discard):
            reporter.started(run.summary(threads, directory.path))
            k.set_threads(threads)
            compiled(reporter, run.trainer.compile)
            run.open(directory, reporter)
        try:
            return run.go(reporter)
        finally:
            run.directory.release()


def _read(
    config: TrainConfig,
    budget: Budget,
    saved: SavedState | None,
    weights: SavedModel | None,
    *,
    extend_vocabulary: bool,
) -> Text:
    """The text, by the vocabulary of what the run goes on from."""
    file = Path(config.file)
    if saved is not None:  # that a text has changed is a better reason than which characters are new in it
        return encode_file(file, saved.vocabulary, budget, skip_unknown=True)
    if weights is None:
        return read_text(file, budget)
    if extend_vocabulary:
        return read_text(file, budget, weights.vocabulary)
    return encode_file(file, weights.vocabulary, budget, otherwise="--extend-vocabulary adds them")


class Run:
    """A run's arrays, its place, and what it writes."""

    def __init__(
        self, k: ModuleType, config: TrainConfig, architecture: Architecture, text: Text, budget: Budget
    ) -> None:
        self.config, self.architecture, self.text, self.budget = config, architecture, text, budget
        self.train_ids, self.val_ids = split(text.ids, config.val_fraction)
        self.placed = place(k, architecture, budget)
        self.trainer = Trainer(self.placed, config, self.train_ids)
        self.evaluator = Evaluator(self.placed, self.val_ids) if config.val_fraction > 0 else None
        self.generator = Generator(self.placed)
        self.progress = BEGINNING
        self.elapsed = 0.0
        # steps and seconds of this process since the last report
        self._timed = [0, 0.0]

    def summary(self, threads: int, out: Path) -> Summary:
        unigram, bigram = entropies(self.train_ids, len(self.text.vocabulary))
        return Summary(
            file=self.config.file,
            characters=len(self.text.ids),
            vocabulary=len(self.text.vocabulary),
            parameters=len(self.placed.param),
            heads=format_layout(self.architecture.heads),
            backend=self.config.backend,
            threads=threads,
            shards=len(self.trainer.state.a.scratch),
            memory=self.budget.held,
            out=str(out),
            steps=self.config.steps,
            step=self.trainer.step,
            weights=self.config.weights,
            validation_characters=len(self.val_ids),
            uniform_entropy=math.log(len(self.text.vocabulary)),
            unigram_entropy=unigram,
            bigram_entropy=bigram,
            known_entropy=corpus.known_entropy(self.text.sha256),
        )

    def open(self, directory: RunDirectory, reporter: Reporter) -> None:
        """Write the configuration; a resumed run forgets what it told after its checkpoint."""
        self.directory, self.out = directory, directory.path
        self.logs = Logs(self.out, reporter.note)
        write_atomically(self.out / CONFIG_FILE, to_toml(self.config).encode())
        self.elapsed = max(self.elapsed, self.logs.resume(self.trainer.step))

    def _stay_in_the_directory(self, reporter: Reporter) -> None:
        """Go on in a new one where somebody has moved or removed it: another run may have its name by now."""
        if not self.directory.is_still_here():
            before = self.directory
            self.open(claim(None, before.path), reporter)
            before.release()
            reporter.note(f"{before.path} was moved or removed: the run goes on in {self.out}")

    def go(self, reporter: Reporter) -> Result:
        """Step until the end or Ctrl-C, then write the checkpoint and a sample."""
        steps, trainer = self.config.steps, self.trainer
        self._saved_at = self._reported_at = time.monotonic()
        speed = 0.0
        with finishing_the_step() as stop:
            if self.progress.evaluation_due:
                self._look(reporter, stop)
            while trainer.step < steps and not stop():
                speed = self._advance(self._steps_to_the_next_look(speed), reporter)
                self._look(reporter, stop)
                if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                    self._try_to_save(reporter)
            self._stay_in_the_directory(reporter)
            self.save()
            done = trainer.step == steps and not self.progress.evaluation_due
            sample = ""
            with contextlib.suppress(StoppedError):
                sample = self._sample(reporter, stop) if done else ""
        progress = self.progress
        return Result(
            out=str(self.out),
            step=trainer.step,
            steps=steps,
            loss=self.progress.smoothed_loss(self.trainer.step),
            val_loss=progress.val_loss,
            best_val_loss=progress.best_val_loss,
            best_step=progress.best_step,
            elapsed_s=self.elapsed,
            sample=sample,
            interrupted=not done,
            lost=self.logs.problem,
        )

    def _report_every(self) -> int:
        return max(1, self.config.steps // 100)

    def _steps_to_the_next_look(self, speed: float) -> int:
        """As many as take LOOK_SECONDS, at the most to where something is due."""
        step, config = self.trainer.step, self.config
        n = max(1, min(int(speed * LOOK_SECONDS), LOG_SLOTS, config.steps - step))
        for every in (self._report_every(), config.eval_every, config.sample_every):
            if every is not None:
                n = min(n, every - step % every)
        return n

    def _advance(self, n: int, reporter: Reporter) -> float:
        """n steps; returns steps per second."""
        begin = time.perf_counter()
        try:
            losses = self.trainer.advance(n)
        except NotFiniteError as error:
            raise NotFiniteError(f"{error}; {self._keep_what_is_finite()}") from None
        seconds = time.perf_counter() - begin
        progress, average = self.progress, self.progress.average
        for loss in losses.loss.tolist():
            average = (1 - SMOOTHING) * average + SMOOTHING * loss
        self.progress = dataclasses.replace(
            progress,
            average=average,
            loss_sum=progress.loss_sum + math.fsum(losses.loss.tolist()),
            norm_sum=progress.norm_sum + math.fsum(losses.grad_norm.tolist()),
            count=progress.count + n,
        )
        self.elapsed += seconds
        self._timed = [self._timed[0] + n, self._timed[1] + seconds]
        reporter.advanced(self._metrics())
        return n / seconds

    def _keep_what_is_finite(self) -> str:
        """Save what was before a step that failed, and say what may help."""
        try:
            self.save()
        except MicrogptError:  # a checkpoint takes finite weights only
            return (
                "the weights from before it are not finite either, and are not saved; a smaller --lr may help"
            )
        again = pasteable(
            "train",
            Path(self.config.file),
            "--from",
            self.out / MODEL_FILE,
            "--lr",
            f"{self.config.lr / 3:.1g}",
        )
        return (
            f"the weights from before it are in {self.out}; a smaller rate may help, "
            f"in a new run with them: {again}"
        )

    def _look(self, reporter: Reporter, stop: Callable[[], bool]) -> None:
        """Evaluate, draw a sample and report, each if it is due.

        Where `stop` ends an evaluation or a compilation, all of it stays due for the run that resumes.
        """
        self._stay_in_the_directory(reporter)
        step, config = self.trainer.step, self.config
        last = step == config.steps
        evaluator = self.evaluator if last or _is_due(step, config.eval_every) else None
        samples = not last and _is_due(step, config.sample_every)
        self.progress = dataclasses.replace(self.progress, evaluation_due=evaluator is not None or samples)
        try:
            score = None if evaluator is None else self._score(evaluator, reporter, stop)
            if samples:
                self._sample(reporter, stop)
        except StoppedError:
            return
        self.progress = dataclasses.replace(self.progress, evaluation_due=False)
        if score is not None:
            self._keep_the_best(score, reporter)
        if last or score is not None or _is_due(step, self._report_every()):
            self._report(reporter, score)
            self.progress = dataclasses.replace(self.progress, loss_sum=0.0, norm_sum=0.0, count=0)
        elif time.monotonic() - self._reported_at > REPORT_SECONDS:
            self._report(reporter, None)

    def _score(self, evaluator: Evaluator, reporter: Reporter, stop: Callable[[], bool]) -> float:
        """The validation loss. Raises StoppedError."""
        compiled(reporter, evaluator.compile, stop)
        begun = time.monotonic()

        def show(n_done: int, n_characters: int) -> None:
            if time.monotonic() - begun > 1:
                reporter.working("evaluating on the held-out text", f"{n_done / n_characters:.0%}")

        score = evaluator.score(show, stop=stop)
        reporter.idle()
        if score is None:
            raise StoppedError
        return score.nats

    def _keep_the_best(self, score: float, reporter: Reporter) -> None:
        progress = self.progress
        best = math.inf if progress.best_val_loss is None else progress.best_val_loss
        self.progress = dataclasses.replace(progress, val_loss=score if math.isfinite(score) else None)
        if not score < best:
            return
        kept, self.progress = (
            self.progress,
            dataclasses.replace(self.progress, best_val_loss=score, best_step=self.trainer.step),
        )
        try:
            model = SavedModel(
                architecture=self.architecture, vocabulary=self.text.vocabulary, notes=self._notes()
            )
            save_model(self.out / BEST_FILE, model, self.trainer.host("param"))
        except MicrogptError as error:
            self.progress = kept
            self.logs.problem = self.logs.problem or str(error)
            reporter.note(f"{error}; the run goes on without these weights, the best so far")

    def _metrics(self, val_loss: float | None = None) -> dict[str, Any]:
        trainer, progress, step = self.trainer, self.progress, self.trainer.step
        n, seconds = self._timed
        return {
            "step": step,
            "epoch": trainer.epoch,
            "chars": trainer.characters(step),
            "loss": progress.loss_sum / max(progress.count, 1),
            "smoothed_loss": self.progress.smoothed_loss(self.trainer.step),
            "val_loss": val_loss,
            "lr": self.config.learning_rate(step - 1),
            "grad_norm": progress.norm_sum / max(progress.count, 1),
            "chars_per_s": trainer.characters(int(n)) / seconds if seconds else 0.0,
            "elapsed_s": self.elapsed,
        }

    def _report(self, reporter: Reporter, score: float | None) -> None:
        metrics = self._metrics(score if score is not None and math.isfinite(score) else None)
        self.logs.report(metrics)
        reporter.reported(metrics)
        self._timed = [0, 0.0]
        self._reported_at = time.monotonic()

    def _sample(self, reporter: Reporter, stop: Callable[[], bool]) -> str:
        """A sample, told and logged. Raises StoppedError."""
        compiled(reporter, self.generator.compile, stop)
        pieces = self.generator.stream(
            encode_prompt(self.text.vocabulary, ""),
            SAMPLE_LENGTH,
            Sampling(seed=self.config.seed + self.trainer.step),
        )
        text = "".join(self.text.vocabulary.decode(piece) for piece in pieces)
        self.logs.sample(self.trainer.step, text)
        reporter.sampled(self.trainer.step, text)
        return text

    def _notes(self) -> dict[str, Any]:
        """What is worth knowing of the weights, for `info`."""
        return {
            "step": self.trainer.step,
            "smoothed_loss": self.progress.smoothed_loss(self.trainer.step),
            "val_loss": self.progress.val_loss,
            "text": self.config.file,
            "text_sha256": self.text.sha256,
            "text_characters": len(self.text.ids) + self.text.n_skipped,
            "microgpt": __version__,
        }

    def _try_to_save(self, reporter: Reporter) -> None:
        """A checkpoint on the way; one that fails costs no run."""
        try:
            self.save()
        except MicrogptError as error:
            reporter.note(f"{error}; the run goes on, and tries again in {CHECKPOINT_SECONDS:.0f} s")
        self._saved_at = time.monotonic()

    def save(self) -> None:
        """Write the checkpoint: the old one or this one is there whole, at any instant."""
        state = SavedState(
            architecture=self.architecture,
            vocabulary=self.text.vocabulary,
            notes=self._notes(),
            config=self.config,
            step=self.trainer.step,
            progress=self.progress,
        )
        save_state(self.out, state, *(self.trainer.host(name) for name in ("param", "m", "v")))

    def restore(self, saved: SavedState) -> None:
        """Go on exactly where the saved run was."""
        trainer, adam = self.trainer, self.trainer.state.adam
        saved.read_into(trainer.k, {"": adam.param, "m.": adam.m, "v.": adam.v})
        trainer.continue_from(saved.step)
        self.progress = saved.progress


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
