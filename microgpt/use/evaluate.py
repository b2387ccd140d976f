"""How well a model predicts a text: its loss over the whole of it, every character once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np

from microgpt.arrays import Array, IdArray, blocks
from microgpt.model.activations import activation_bytes, activations
from microgpt.model.architecture import Architecture
from microgpt.model.placed import PlacedModel
from microgpt.model.steps import Batch, Evaluation, build_evaluation
from microgpt.text.ngrams import REMEDY
from microgpt.text.walk import Walk
from microgpt.use.interpolation import fitted_weight, interpolated, interpolated_logits

MAX_SEQUENCES = 16
# about what a core's cache holds: with 20 MiB, 16 sequences are a fifth slower than one (T 128, C 64)
ARENA_BYTES = 4 << 20
# how long compiled code may run before Python looks at Ctrl-C and at the progress
SLICE_SECONDS = 0.1
# for each character, beside n-grams: its node, and the losses of the n-grams, of the network, and of both
# together or the leans that the weight is fitted by
NGRAM_BYTES = 4 + 3 * 8

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Score:
    """The mean loss over a text."""

    nats: float  # for each character
    characters: int  # that were predicted

    @property
    def bits(self) -> float:
        """Bits per character: what a compressor with this model would need."""
        return self.nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """The number of equally likely characters that would be as hard to tell apart."""
        try:
            return math.exp(self.nats)
        except OverflowError:
            return math.inf


@dataclass(frozen=True)
class FittedScore(Score):
    """That of a network and n-grams together, with the weight that is best for the text; and of each."""

    weight: float  # of the n-grams
    network: Score
    ngrams: Score


class Evaluator:
    """The arrays to score one text with. The model's parameters may change between scores.

    ids  (X,), X >= 2, of the model's vocabulary, in unsigned integers; the caller has booked them. The text
         is cut into chunks of seq_len characters, each read with nothing before it, as in training without
         overlap.
    before  what precedes the text: n-grams see the last characters of it, and otherwise nothing before the
            text. Unlike the network they also look back beyond the beginning of a chunk

    Raises MicrogptError where the text is too short or the arrays exceed the budget.
    """

    def __init__(self, placed: PlacedModel, ids: IdArray, before: IdArray | None = None) -> None:
        k, T = placed.k, placed.architecture.seq_len
        n_chunks = Walk(len(ids), T, T, batch_size=1).n_chunks
        B = min(n_chunks, sequences_that_fit(placed.architecture))
        self.k = k
        self._walk = Walk(len(ids), T, T, B)
        a = activations(placed, n_sequences=B)

        def integers(what: str) -> Array:
            return placed.budget.zeros(k, (B, T), np.int32, what, "use a shorter --seq-len")

        batch = Batch(
            inputs=integers("the batch that is evaluated"),
            targets=integers("the targets of the batch that is evaluated"),
            n_targets=k.zeros((1,), np.int64),
            ids=k.to_device(ids),
            order=k.zeros((0,), np.int64),
        )
        self._state = Evaluation(
            p=placed.p,
            a=a,
            c=placed.c,
            batch=batch,
            clock=k.zeros((2,), np.int64),
            total=k.zeros((1,), np.float64),
            counted=k.zeros((1,), np.int64),
            stride=T,
        )
        self._evaluate = build_evaluation(k)
        self._ngrams, self._weight = placed.ngrams, placed.ngram_weight
        if self._ngrams is not None:
            what = "what n-grams predict of the text that is evaluated"
            placed.budget.book(NGRAM_BYTES * len(ids), what, REMEDY)
            self._network_losses = np.zeros(len(ids) - 1)
            # of each character but the first; they are the same in each evaluation
            self._nodes = self._ngrams.nodes(ids, before)[1:]
            self._ngram_losses = self._ngrams.losses(self._nodes, ids[1:])

    def compile(self) -> None:
        """Compile the evaluation of a batch, or load it from the cache: nothing is evaluated."""
        self._evaluate(0, self._state)

    @overload
    def score(self, progress: Progress | None = ...) -> Score: ...
    @overload
    def score(self, progress: Progress | None = ..., *, stop: Callable[[], bool]) -> Score | None: ...

    def score(
        self, progress: Progress | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Score | None:
        """The loss over the whole text; None if `stop` ends it before. n-grams have the model's weight.

        progress(done, total)  is called after every slice of SLICE_SECONDS with the characters that are done
        stop()                 is asked after every slice but the last, which leaves nothing to stop
        """
        if not self._read(progress, stop):
            return None
        if self._ngrams is None:
            return self._network_score()
        return self._score_with(self._weight)

    def fit(self, progress: Progress | None, stop: Callable[[], bool]) -> FittedScore | None:
        """The loss with that weight of the n-grams with which it is lowest; None if `stop` ends it before.

        The parameters are as in `score`. The model keeps the weight that it has.
        """
        if not self._read(progress, stop):
            return None
        weight = fitted_weight(self._network_losses, self._ngram_losses)
        together = self._score_with(weight)
        n = together.characters
        return FittedScore(together.nats, n, weight, self._network_score(), self.ngram_score())

    def ngram_score(self) -> Score:
        """That of the n-grams alone, which is the same in each evaluation."""
        return Score(float(self._ngram_losses.mean()), len(self._ngram_losses))

    def _network_score(self) -> Score:
        """That of the network alone, after `_read`."""
        total, counted = (self.k.to_host(array)[0] for array in (self._state.total, self._state.counted))
        return Score(float(total) / int(counted), int(counted))

    def _score_with(self, weight: float) -> Score:
        """That of both together, after `_read`."""
        own, expected = self._network_losses, self._ngram_losses
        total = sum(
            float(interpolated(own[low:high], expected[low:high], weight).sum())
            for low, high in blocks(0, len(own))
        )
        return Score(total / len(own), len(own))

    def _read(self, progress: Progress | None, stop: Callable[[], bool]) -> bool:
        """Compute the network's losses, as `score` describes; returns whether that came to its end."""
        k, state, n_batches = self.k, self._state, self._walk.steps_per_epoch
        for counter in (state.clock, state.total, state.counted):
            k.from_host(counter, np.zeros(counter.shape, counter.dtype))
        done, n = 0, 1
        while done < n_batches:
            n = min(n, n_batches - done)
            started = time.perf_counter()
            self._advance(done, n)
            counted = int(k.to_host(state.counted)[0])
            seconds = time.perf_counter() - started
            done += n
            if progress is not None:
                progress(counted, self._walk.n_targets)
            if done < n_batches and stop():
                return False
            n = max(1, min(2 * n, int(n * SLICE_SECONDS / seconds)))
        return True

    def _advance(self, begin: int, n: int) -> None:
        """Add the losses of the batches begin:begin + n to the total; beside n-grams, also keep each."""
        if self._ngrams is None:
            self._evaluate(n, self._state)
            return
        for step in range(begin, begin + n):
            self._evaluate(1, self._state)
            losses = self.k.to_host(self._state.a.losses)
            for place, rows in self._chunks(step):
                self._network_losses[place] = losses[rows]

    def losses(self) -> Iterator[tuple[slice, Array]]:
        """The loss in nats of each character but the first, chunk by chunk.

        For each chunk it yields the places of the n characters before these in the text, and the losses (n,)
        on the host, valid until the next chunk. The chunks come in no particular order.
        """
        for step in self._each_batch():
            losses = self.k.to_host(self._state.a.losses)
            for place, rows in self._chunks(step):
                own = losses[rows]
                if self._ngrams is not None:
                    own = interpolated(own, self._ngram_losses[place], self._weight)
                yield place, own

    def logits(self) -> Iterator[tuple[slice, Array]]:
        """The logits (n, V) of what follows each character but the last, chunk by chunk like `losses`."""
        for step in self._each_batch():
            logits = self.k.to_host(self._state.a.logits)
            for place, rows in self._chunks(step):
                if self._ngrams is None:
                    yield place, logits[rows]
                    continue
                for part in self._ngrams.parts(place.stop - place.start):
                    here = slice(place.start + part.start, place.start + part.stop)
                    expected = self._ngrams.probabilities(self._nodes[here])
                    yield here, interpolated_logits(logits[rows][part], expected, self._weight)

    def _each_batch(self) -> Iterator[int]:
        """The number of each batch, once it is computed."""
        k, state = self.k, self._state
        k.from_host(state.clock, np.zeros(state.clock.shape, state.clock.dtype))
        for step in range(self._walk.steps_per_epoch):
            self._evaluate(1, state)
            yield step

    def _chunks(self, step: int) -> Iterator[tuple[slice, slice]]:
        """The chunks of a batch: their places in the text, and among the rows of the batch."""
        T, B, Q = self._walk.seq_len, self._walk.batch_size, self._walk.n_chunks
        for b in range(B):
            chunk = b * Q // B + step
            if chunk < (b + 1) * Q // B:
                begin, end = chunk * T, min(chunk * T + T, self._walk.n_targets)
                yield slice(begin, end), slice(b * T, b * T + end - begin)


def sequences_that_fit(architecture: Architecture) -> int:
    """How many sequences of a batch keep the activations within ARENA_BYTES; at least 1."""
    return max(1, min(MAX_SEQUENCES, ARENA_BYTES // activation_bytes(architecture, n_sequences=1)))
