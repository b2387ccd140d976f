"""How well a model predicts a text: its loss over the whole of it, every character once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np

from microgpt.arrays import Array, IdArray
from microgpt.model.activations import activation_bytes, activations
from microgpt.model.architecture import Architecture
from microgpt.model.placed import PlacedModel
from microgpt.model.steps import Batch, Evaluation, build_evaluation
from microgpt.text.walk import Walk

MAX_SEQUENCES = 16
# about what a core's cache holds: with 20 MiB, 16 sequences are a fifth slower than one (T 128, C 64)
ARENA_BYTES = 4 << 20
# how long compiled code may run before Python looks at Ctrl-C and at the progress
SLICE_SECONDS = 0.1

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


class Evaluator:
    """The arrays to score one text with. The model's parameters may change between scores.

    ids  (X,), X >= 2, of the model's vocabulary, in unsigned integers; the caller has booked them. The text
         is cut into chunks of seq_len characters, each read with nothing before it, as in training without
         overlap.

    Raises MicrogptError where the text is too short or the arrays exceed the budget.
    """

    def __init__(self, placed: PlacedModel, ids: IdArray) -> None:
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
        """The loss over the whole text; None if `stop` ends it before.

        progress(done, total)  is called after every slice of SLICE_SECONDS with the characters that are done
        stop()                 is asked after every slice but the last, which leaves nothing to stop
        """
        k, state, n_batches = self.k, self._state, self._walk.steps_per_epoch
        for counter in (state.clock, state.total, state.counted):
            k.from_host(counter, np.zeros(counter.shape, counter.dtype))
        done, n = 0, 1
        while done < n_batches:
            n = min(n, n_batches - done)
            started = time.perf_counter()
            self._evaluate(n, state)
            counted = int(k.to_host(state.counted)[0])
            seconds = time.perf_counter() - started
            done += n
            if progress is not None:
                progress(counted, self._walk.n_targets)
            if done < n_batches and stop():
                return None
            n = max(1, min(2 * n, int(n * SLICE_SECONDS / seconds)))
        return Score(float(k.to_host(state.total)[0]) / counted, counted)

    def rows(self) -> Iterator[tuple[slice, Array, Array]]:
        """The model's prediction at each character but the last, of the one that follows it; chunk by chunk.

        For each chunk it yields the places of its n characters in the text, their losses (n,) in nats and
        their logits (n, V); both are on the host, and valid until the next chunk. The chunks come in no
        particular order.
        """
        k, state = self.k, self._state
        T, B, Q = self._walk.seq_len, self._walk.batch_size, self._walk.n_chunks
        k.from_host(state.clock, np.zeros(state.clock.shape, state.clock.dtype))
        for step in range(self._walk.steps_per_epoch):
            self._evaluate(1, state)
            losses, logits = k.to_host(state.a.losses), k.to_host(state.a.logits)
            for b in range(B):
                chunk = b * Q // B + step
                if chunk < (b + 1) * Q // B:
                    begin, end = chunk * T, min(chunk * T + T, self._walk.n_targets)
                    part = slice(b * T, b * T + end - begin)
                    yield slice(begin, end), losses[part], logits[part]


def sequences_that_fit(architecture: Architecture) -> int:
    """How many sequences of a batch keep the activations within ARENA_BYTES; at least 1."""
    return max(1, min(MAX_SEQUENCES, ARENA_BYTES // activation_bytes(architecture, n_sequences=1)))
