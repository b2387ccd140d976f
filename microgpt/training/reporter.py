"""What a run reports: what it begins with, how far it is, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from microgpt.machine.backends import Listener
from microgpt.recipes import Rates


@dataclass(frozen=True)
class Summary:
    """What was read and what will run."""

    file: str
    characters: int
    vocabulary: int
    parameters: int
    heads: str
    backend: str
    processes: int  # that take its steps together
    threads: int  # of each
    shards: int
    memory: int  # bytes
    out: str | None  # the run's directory; None where nothing is written
    steps: int
    step: int  # where the run begins: 0, or where it resumes
    weights: str | None  # the run whose weights it begins with
    schedule: str
    rates: Rates
    validation_characters: int
    uniform_entropy: float  # ln V; the entropies are in nats per character
    unigram_entropy: float
    bigram_entropy: float | None  # None where counting the pairs would take too much memory
    known_entropy: float | None  # of the text's own source, where that is known
    snapshots: int  # how many steps have their weights kept in files of their own
    ngrams: int  # the order of the n-grams that the network is interpolated with; 0: none
    ngrams_wanted: int  # the order that was asked for
    n_ngrams: int  # how many different ones of this order


@dataclass(frozen=True)
class Mixture:
    """What a network and n-grams give to each other, at the last evaluation."""

    order: int  # of the n-grams
    ngram_weight: float
    network_val_loss: float  # of each alone
    ngram_val_loss: float


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    out: str | None  # as in Summary
    step: int
    steps: int
    loss: float | None  # smoothed
    val_loss: float | None  # the last one
    best_val_loss: float | None
    best_step: int | None
    mixture: Mixture | None  # None without n-grams, and before the first evaluation
    elapsed_s: float
    sample: str
    interrupted: bool
    lost: str | None  # what could not be written, apart from the checkpoint


class Reporter(Listener, Protocol):
    """Shows a run to its user. `metrics` are the entries of a line of metrics.jsonl."""

    def started(self, summary: Summary) -> None:
        """Called once, before the first step."""

    def advanced(self, metrics: dict[str, Any]) -> None:
        """Called about ten times a second, or after each step where a step takes longer."""

    def reported(self, metrics: dict[str, Any]) -> None:
        """Called for each line of metrics.jsonl: about a hundred in a run, and one after each evaluation."""

    def sampled(self, step: int, text: str) -> None:
        """Called with each sample that the model writes during the run, and at its end."""


class Silent:
    """A reporter that says nothing, where others report: of a race, or of several processes."""

    def note(self, text: str) -> None: ...
    def working(self, what: str, so_far: str) -> None: ...
    def idle(self) -> None: ...
    def started(self, summary: Summary) -> None: ...
    def advanced(self, metrics: dict[str, Any]) -> None: ...
    def reported(self, metrics: dict[str, Any]) -> None: ...
    def sampled(self, step: int, text: str) -> None: ...
