"""A training run: its steps, with evaluations, samples and reports, to its end or to Ctrl-C."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

from microgpt import __version__
from microgpt.arrays import IdArray
from microgpt.checkpoint.file import PREFIXES
from microgpt.checkpoint.progress import BEGINNING
from microgpt.checkpoint.saved import SavedModel, SavedState
from microgpt.checkpoint.snapshots import snapshot_steps
from microgpt.config import TrainConfig
from microgpt.errors import NotFiniteError
from microgpt.machine.backends import StoppedError, compiled
from microgpt.machine.budget import Budget
from microgpt.machine.team import Team
from microgpt.model.placed import PlacedModel
from microgpt.terminal.interruption import finishing_the_step
from microgpt.text.ngrams import REMEDY, UNFITTED_WEIGHT, NGrams, fit, highest_order
from microgpt.text.reading import Text
from microgpt.text.walk import split
from microgpt.training.logs import SAMPLE_LENGTH
from microgpt.training.output import Output
from microgpt.training.provenance import provenance
from microgpt.training.replicas import trainer_for
from microgpt.training.reporter import Mixture, Reporter, Result, Summary
from microgpt.use.evaluate import Evaluator, FittedScore, Progress, Score
from microgpt.use.generate import Generator, Sampling, encode_prompt

# Compiled code runs for about this long; then Python notices Ctrl-C, moves the progress bar, and evaluates,
# samples and reports if that is due.
LOOK_SECONDS = 0.1
# Reports are at most this far apart, however long a hundredth of the steps takes.
REPORT_SECONDS = 30.0


class Run:
    """The arrays of a run, where it is, and the loop that takes it to its end."""

    def __init__(
        self,
        placed: PlacedModel,
        config: TrainConfig,
        text: Text,
        reporter: Reporter,
        team: Team | None = None,
    ) -> None:
        begin = time.perf_counter()
        self.config, self.text, self.reporter = config, text, reporter
        self.train_ids, self.val_ids = split(text.ids, config.val_fraction)
        ngrams = _counted(self.train_ids, len(text.vocabulary), config.ngrams, placed.budget)
        self.placed = placed = dataclasses.replace(placed, ngrams=ngrams)
        self.trainer = trainer_for(placed, config, self.train_ids, team)
        self.evaluator = Evaluator(placed, self.val_ids, self.train_ids) if config.val_fraction > 0 else None
        self.generator = Generator(placed)
        self.progress = BEGINNING
        # of the n-grams, at the last evaluation
        self.ngram_weight = UNFITTED_WEIGHT
        # seconds of counting, training and evaluating, also those before the run was resumed
        self._elapsed = time.perf_counter() - begin
        # the steps of this process since the last report, and their seconds
        self._timed_steps, self._timed_seconds = 0, 0.0
        K = config.steps_at_once
        n_snapshots = config.snapshots
        self.snapshot_steps = (
            ()
            if n_snapshots is None
            else tuple(K * i for i in snapshot_steps(config.steps // K, n_snapshots))
        )
        # steps that take about LOOK_SECONDS
        self._steps_to_a_look = 1

    def restore(self, saved: SavedState) -> None:
        """Go on exactly where the saved run was."""
        buffers = {PREFIXES[name]: buffer for name, buffer in self.trainer.buffers.items()}
        saved.read_into(self.placed.k, buffers)
        self.trainer.continue_from(saved.step)
        self.progress, self.ngram_weight = saved.progress, saved.ngram_weight

    def go(self, output: Output, summary: Summary) -> Result:
        """Step until the end or Ctrl-C, then save the state and write a sample."""
        trainer, steps = self.trainer, self.config.steps
        self._output = output
        self._elapsed += output.begin(self.config, trainer.step)
        output.started(provenance(summary, self.placed.k, self._elapsed))
        self._reported_at = time.monotonic()
        with finishing_the_step() as stop:
            if trainer.step == 0:
                self._keep_a_snapshot()
            if self.progress.evaluation_due:
                self._look(stop)
            while trainer.step < steps and not stop():
                if self._advance(self._steps_to_the_next_look()):
                    self._keep_a_snapshot()
                    self._look(stop)
                    output.save_if_due(self.state(), trainer.host)
            output.save(self.state(), trainer.host)
            done = trainer.step == steps and not self.progress.evaluation_due
            sample = ""
            with contextlib.suppress(StoppedError):
                sample = self._sample(stop, self.ngram_weight) if done else ""
        return self._result(sample, interrupted=not done)

    def _steps_to_the_next_look(self) -> int:
        """How many steps take LOOK_SECONDS, but none beyond a step at which something is due."""
        step, config = self.trainer.step, self.config
        n = min(self._steps_to_a_look, self.trainer.most_steps, config.steps - step)
        for every in (self._report_every, config.eval_every, config.sample_every):
            if every is not None:
                n = min(n, every - step % every)
        return min(n, next((due - step for due in self.snapshot_steps if due > step), n))

    def _keep_a_snapshot(self) -> None:
        """The weights of this step, without n-grams, if it is one of those that are kept."""
        if self.trainer.step in self.snapshot_steps:
            begin = time.perf_counter()
            model = SavedModel(
                architecture=self.placed.architecture, vocabulary=self.text.vocabulary, notes=self._notes()
            )
            self._output.save_snapshot(model, self.trainer.host)
            self._elapsed += time.perf_counter() - begin

    @property
    def _report_every(self) -> int:
        K = self.config.steps_at_once
        return max(K, self.config.steps // 100 // K * K)

    def _advance(self, n: int) -> int:
        """Take n steps; returns how many are done, which are none where replicas have yet to meet."""
        begin = time.perf_counter()
        try:
            losses = self.trainer.advance(n)
        except NotFiniteError as error:
            remedy = self._output.rescue(self.state(), self.trainer.host)
            raise NotFiniteError(f"{error}; {remedy}") from None
        seconds = time.perf_counter() - begin
        self.progress = self.progress.after(losses.loss.tolist(), losses.grad_norm.tolist())
        self._elapsed += seconds
        self._timed_steps += (n_done := len(losses.loss))
        self._timed_seconds += seconds
        self._steps_to_a_look = max(1, int(n / seconds * LOOK_SECONDS))
        self.reporter.advanced(self._metrics())
        return n_done

    def _look(self, stop: Callable[[], bool]) -> None:
        """Evaluate, write a sample and report, each if it is due.

        Where `stop` ends an evaluation or a compilation, all three stay due when the run is resumed.
        """
        step, config = self.trainer.step, self.config
        last = step == config.steps
        evaluator = self.evaluator if last or _is_due(step, config.eval_every) else None
        samples = not last and _is_due(step, config.sample_every)
        self.progress = self.progress.with_evaluation(due=evaluator is not None or samples)
        try:
            score = None if evaluator is None else self._score(evaluator, stop)
            if samples:
                self._sample(stop, self._weight_after(score))
        except StoppedError:
            return
        self.progress = self.progress.with_evaluation(due=False)
        if score is not None:
            self._keep_the_best(score)
        if last or score is not None or _is_due(step, self._report_every):
            self._report(score)
            self.progress = self.progress.reported()
        elif time.monotonic() - self._reported_at > REPORT_SECONDS:
            self._report(None)

    def held_out_score(self) -> Score:
        """That of the held-out text, by the weights as they are; n-grams get their best weight for it."""
        assert self.evaluator is not None
        score = self._evaluated(self.evaluator, None, lambda: False)
        assert score is not None
        return score

    def _evaluated(
        self, evaluator: Evaluator, progress: Progress | None, stop: Callable[[], bool]
    ) -> Score | None:
        """The same with another evaluator; None if `stop` ends it before."""
        if self.placed.ngrams is not None:
            return evaluator.fit(progress, stop)
        return evaluator.score(progress, stop=stop)

    def _score(self, evaluator: Evaluator, stop: Callable[[], bool]) -> Score:
        """The score of the held-out text; with n-grams, with the weight that is best for it. Raises
        StoppedError."""
        compiled(self.reporter, evaluator.compile, stop)
        begin = time.perf_counter()

        def show(n_done: int, n_characters: int) -> None:
            if time.perf_counter() - begin > 1:
                self.reporter.working("evaluating on the held-out text", f"{n_done / n_characters:.0%}")

        score = self._evaluated(evaluator, show, stop)
        self.reporter.idle()
        self._elapsed += time.perf_counter() - begin
        if score is None:
            raise StoppedError
        return score

    def _weight_after(self, score: Score | None) -> float:
        """The weight of the n-grams once this score counts; a loss that is not a number fits none."""
        if isinstance(score, FittedScore) and math.isfinite(score.weight):
            return score.weight
        return self.ngram_weight

    def _keep_the_best(self, score: Score) -> None:
        self.ngram_weight = self._weight_after(score)
        network = score.network.nats if isinstance(score, FittedScore) else None
        self.progress = self.progress.scored(score.nats, network)
        if self.progress.is_best(score.nats):
            model = SavedModel(
                architecture=self.placed.architecture,
                vocabulary=self.text.vocabulary,
                notes=self._notes(),
                ngrams=self.placed.ngrams,
                ngram_weight=self.ngram_weight,
            )
            if self._output.save_best(model, self.trainer.host):
                self.progress = self.progress.with_best(score.nats, self.trainer.step)

    def _sample(self, stop: Callable[[], bool], ngram_weight: float) -> str:
        """A sample, shown and logged. Raises StoppedError."""
        compiled(self.reporter, self.generator.compile, stop)
        self.generator.weight = ngram_weight
        pieces = self.generator.stream(
            encode_prompt(self.text.vocabulary, ""),
            SAMPLE_LENGTH,
            Sampling(seed=self.config.seed + self.trainer.step),
        )
        text = "".join(self.text.vocabulary.decode(piece) for piece in pieces)
        self._output.sample(self.trainer.step, text)
        self.reporter.sampled(self.trainer.step, text)
        return text

    def _report(self, score: Score | None) -> None:
        metrics = self._metrics(score)
        self._output.report(metrics)
        self.reporter.reported(metrics)
        self._timed_steps, self._timed_seconds = 0, 0.0
        self._reported_at = time.monotonic()

    def _metrics(self, score: Score | None = None) -> dict[str, Any]:
        """The entries of a line of metrics.jsonl, after an evaluation with its score."""
        trainer, progress, step = self.trainer, self.progress, self.trainer.step
        seconds = self._timed_seconds
        evaluated = score is not None
        of_both: dict[str, Any] = {}
        if self.placed.ngrams is not None:
            of_both = {
                "network_val_loss": progress.network_val_loss if evaluated else None,
                "ngram_weight": self.ngram_weight if evaluated else None,
            }
        return {
            "step": step,
            "epoch": trainer.epoch,
            "chars": trainer.characters(step),
            "loss": progress.mean_loss,
            "smoothed_loss": progress.smoothed_loss(step),
            "val_loss": progress.val_loss if evaluated else None,
            **of_both,
            "lr": self.config.learning_rate(step - 1),
            "grad_norm": progress.mean_norm,
            "chars_per_s": trainer.characters(self._timed_steps) / seconds if seconds else 0.0,
            "elapsed_s": self._elapsed,
        }

    def state(self) -> SavedState:
        """All that a checkpoint says of the run, besides its arrays."""
        return SavedState(
            architecture=self.placed.architecture,
            vocabulary=self.text.vocabulary,
            notes=self._notes(),
            ngrams=self.placed.ngrams,
            ngram_weight=self.ngram_weight,
            config=self.config.settled(),
            step=self.trainer.step,
            progress=self.progress,
        )

    def _notes(self) -> dict[str, Any]:
        """What `info` tells of the weights."""
        return {
            "step": self.trainer.step,
            "smoothed_loss": self.progress.smoothed_loss(self.trainer.step),
            "val_loss": self.progress.val_loss,
            "text": self.config.file,
            "text_sha256": self.text.sha256,
            "text_characters": len(self.text.ids) + self.text.n_skipped,
            "microgpt": __version__,
        }

    def _result(self, sample: str, *, interrupted: bool) -> Result:
        mixture, ngrams, network = None, self.placed.ngrams, self.progress.network_val_loss
        if ngrams is not None and network is not None and self.evaluator is not None:
            alone = self.evaluator.ngram_score().nats
            mixture = Mixture(ngrams.order, self.ngram_weight, network, alone)
        return Result(
            out=self._output.out,
            step=self.trainer.step,
            steps=self.config.steps,
            loss=self.progress.smoothed_loss(self.trainer.step),
            val_loss=self.progress.val_loss,
            best_val_loss=self.progress.best_val_loss,
            best_step=self.progress.best_step,
            mixture=mixture,
            elapsed_s=self._elapsed,
            sample=sample,
            interrupted=interrupted,
            lost=self._output.problem,
        )


def _counted(ids: IdArray, V: int, wanted: int, budget: Budget) -> NGrams | None:
    """The n-grams of the text to train on, of the order that is wanted or the highest that can be counted."""
    if not wanted:
        return None
    ngrams = fit(ids, V, highest_order(V, wanted), budget)
    budget.book(8 * ngrams.n_grams, "the n-grams in a checkpoint", REMEDY)
    return ngrams


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
