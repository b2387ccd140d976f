"""Training: from a configuration to a trained model."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

from microgpt.checkpoint.saved import SavedModel, SavedState
from microgpt.config import TrainConfig
from microgpt.corpora import corpus
from microgpt.machine.backends import compiled, load_backend
from microgpt.machine.budget import Budget
from microgpt.machine.team import Team
from microgpt.model.heads import format_layout
from microgpt.model.placed import place
from microgpt.text.entropy import entropies
from microgpt.text.opening import Source
from microgpt.text.reading import Text, encode_file, read_text
from microgpt.training.directory import claim
from microgpt.training.output import Output, files
from microgpt.training.reporter import Reporter, Result, Summary
from microgpt.training.resuming import check_resumable, other_additions
from microgpt.training.run import Run
from microgpt.training.together import COMPILED, check_shareable, if_one_is_lost, lead, shared_by
from microgpt.training.warm_start import starting_weights


def train(
    config: TrainConfig,
    reporter: Reporter,
    *,
    content: bytes | None = None,
    text: Text | None = None,
    resumed: SavedState | None = None,
    weights: SavedModel | None = None,
    extend_vocabulary: bool = False,
    output: Output | None = None,
    team: Team | None = None,
) -> Result:
    """Train until config.steps are done, or until Ctrl-C.

    content            the UTF-8 bytes of the text; None to read config.file
    text               the same, where it has been read already
    resumed            the state of the run to resume; `output` is then the directory of that run
    weights            what a new run begins with, instead of initial values
    extend_vocabulary  add the text's characters that `weights` does not know to its vocabulary
    output             where the results go; None for files in a new directory
    team               the processes that share the work, of which this one leads; None for this one alone

    In the main thread Ctrl-C ends the run after its step, and a second one ends it at once. In other threads
    signals stay what they are.

    Raises MicrogptError, before anything is written where that can be foreseen, and NotFiniteError where the
    loss or a gradient stops being finite.
    """
    k = load_backend(config.backend, reporter)
    if team is not None:
        check_shareable(team, k, config)
    budget = Budget(config.memory_cap_bytes)
    if text is None:
        source = Path(config.file) if content is None else content
        text = _read(source, budget, resumed, weights, extend_vocabulary=extend_vocabulary)
    else:
        budget.book(text.ids.nbytes, "the text", "train on a part of it")
    architecture = config.architecture(len(text.vocabulary))
    if resumed is not None:
        check_resumable(resumed, architecture, config, text)
        if note := other_additions(resumed, config.n_shards(k.max_shards())):
            reporter.note(note)
    run = Run(place(k, architecture, budget), config, text, reporter, team)
    threads = run.trainer.n_threads
    if resumed is not None:
        run.restore(resumed)
    elif weights is not None:
        k.from_host(
            run.placed.param,
            starting_weights(weights, architecture, text.vocabulary, config.seed, config.init),
        )
    with contextlib.ExitStack() as stack:
        if output is None:
            output = stack.enter_context(files(claim(config.out, config.default_out), reporter.note))
        summary = _summary(run, 1 if team is None else team.size, threads, output.out)
        reporter.started(summary)
        k.set_threads(threads)
        if team is not None:
            lead(team, run.trainer, config, text)
        compiled(reporter, run.trainer.compile)
        if team is None and config.replicas is not None:
            reporter.note(f"{config.replicas} replicas meet every {config.local_steps:,} steps")
        if team is not None:
            team.order(COMPILED)
            reporter.note(shared_by(team, config, config.n_shards(k.max_shards())))
            if output.out is not None:
                reporter.note(if_one_is_lost(output.out))
        return run.go(output, summary)


def _summary(run: Run, processes: int, threads: int, out: str | None) -> Summary:
    """What the run begins with."""
    config, text = run.config, run.text
    unigram, bigram = entropies(run.train_ids, len(text.vocabulary))
    ngrams = run.placed.ngrams
    return Summary(
        file=config.file,
        characters=len(text.ids),
        vocabulary=len(text.vocabulary),
        parameters=len(run.placed.param),
        heads=format_layout(run.placed.architecture.heads),
        backend=config.backend,
        processes=processes,
        threads=threads,
        shards=run.trainer.n_shards,
        memory=run.placed.budget.held,
        out=out,
        steps=config.steps,
        step=run.trainer.step,
        weights=config.weights,
        schedule=config.schedule,
        rates=config.rates,
        validation_characters=len(run.val_ids),
        uniform_entropy=math.log(len(text.vocabulary)),
        unigram_entropy=unigram,
        bigram_entropy=bigram,
        known_entropy=corpus.known_entropy(text.sha256),
        snapshots=len(run.snapshot_steps),
        ngrams=0 if ngrams is None else ngrams.order,
        ngrams_wanted=config.ngrams,
        n_ngrams=0 if ngrams is None else ngrams.n_grams,
    )


def read_for(
    config: TrainConfig,
    content: bytes | None,
    weights: SavedModel | None = None,
    *,
    extend_vocabulary: bool = False,
) -> Text:
    """The text of a new run, for `train`, whose other parameters these are."""
    source = Path(config.file) if content is None else content
    return _read(source, Budget(config.memory_cap_bytes), None, weights, extend_vocabulary=extend_vocabulary)


def _read(
    source: Source,
    budget: Budget,
    resumed: SavedState | None,
    weights: SavedModel | None,
    *,
    extend_vocabulary: bool,
) -> Text:
    """The text, in the vocabulary of the state or the weights that the run begins with."""
    if resumed is not None:
        # that the text has changed is a better reason than which characters are new in it
        return encode_file(source, resumed.vocabulary, budget, skip_unknown=True)
    if weights is None:
        return read_text(source, budget)
    if extend_vocabulary:
        return read_text(source, budget, weights.vocabulary)
    return encode_file(source, weights.vocabulary, budget, otherwise="--extend-vocabulary adds them")
