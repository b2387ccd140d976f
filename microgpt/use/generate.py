"""Generating text, one character after another, from a window of the last characters.

The keys and values of every character in the window stay in the activations, and so do the rows that the next
row is shifted from: a character costs one row of the model and not a whole sequence of them. Positions count
from the start of the window. That is why a full window cannot just move on by one: each character would
stand at another position, and every row would have to be computed anew. Instead a full window of T characters
is halved. The newer T // 2 move to its front, and their rows are computed again, once in T - T // 2
characters. So the model sees between T // 2 + 1 and T characters, and what it draws is just what it would
draw from the window without any memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from microgpt.arrays import Array, IdArray
from microgpt.errors import MicrogptError, shown
from microgpt.model.activations import activations
from microgpt.model.placed import PlacedModel
from microgpt.model.steps import Generation, build_generation
from microgpt.text.vocabulary import Vocabulary

# for how many characters random numbers are made at once; no piece is longer
DRAWS = 1024
# how long compiled code may run before its characters are shown: a terminal shows about 30 pieces a second
PIECE_SECONDS = 1 / 30
# below this the likeliest character is certain, and 1/temperature would soon leave the range of float32
LOWEST_TEMPERATURE = 1e-6


@dataclass(frozen=True)
class Sampling:
    """How characters are drawn; raises MicrogptError for values that are out of range."""

    temperature: float = 0.8  # 0: always the likeliest character
    top_k: int = 0  # draw from the k likeliest; 0: from all
    top_p: float = 1.0  # draw from the fewest likeliest that have this probability together
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise MicrogptError(f"--temperature must be at least 0 and finite, not {shown(self.temperature)}")
        if self.top_k < 0:
            raise MicrogptError(f"--top-k must be at least 1, or 0 for all, not {shown(self.top_k)}")
        if not 0 < self.top_p <= 1:
            raise MicrogptError(f"--top-p must be above 0 and at most 1, not {shown(self.top_p)}")
        if self.seed < 0:
            raise MicrogptError(f"--seed must be at least 0, not {shown(self.seed)}")


def encode_prompt(vocabulary: Vocabulary, prompt: str) -> npt.NDArray[np.int32]:
    """The ids of a prompt, at least one; raises MicrogptError naming every unknown character.

    A model needs something to go on from. In place of an empty prompt that is a line break, as if a new line
    had just begun, or the first character of a vocabulary without one. It is not part of what is generated.
    """
    if not prompt:
        prompt = "\n" if "\n" in vocabulary.characters else vocabulary.characters[0]
    return vocabulary.encode(prompt)


def until(pieces: Iterable[str], stop: str) -> Iterator[str]:
    """A text in pieces up to where `stop` first occurs, also across pieces; `stop` itself is left out.

    What may yet turn out to be the beginning of `stop` is held back until that is decided, or the text ends.
    Raises ValueError for an empty `stop`.
    """
    if not stop:
        raise ValueError("every text has the empty text in it")
    return _until(pieces, stop)


def _until(pieces: Iterable[str], stop: str) -> Iterator[str]:
    held = ""
    for piece in pieces:
        held += piece
        begin = held.find(stop)
        # without `stop` in it, all but the longest end that `stop` begins with is safe
        end = begin if begin >= 0 else len(held) - _overlap(held, stop)
        if end:
            yield held[:end]
        if begin >= 0:
            return
        held = held[end:]
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that `stop` begins with, and is longer than."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


def window_begin(n: int, seq_len: int) -> int:
    """Where the window of a text begins that has grown from one character to n: each full one was halved."""
    step = seq_len - seq_len // 2
    return max(0, math.ceil((n - seq_len) / step)) * step


class Generator:
    """The arrays that generation needs, allocated once. The model's parameters may change between streams.

    weight  of its n-grams, which may change between streams as well

    Only one stream can run at a time, because a new one overwrites the arrays.
    """

    def __init__(self, placed: PlacedModel) -> None:
        self.placed, self.k, self.architecture = placed, placed.k, placed.architecture
        self.a = activations(placed, n_sequences=1)

        def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike, what: str) -> Array:
            return placed.budget.zeros(placed.k, shape, dtype, what, "use a shorter --seq-len")

        self._window = zeros((self.architecture.seq_len,), np.int32, "the last characters")
        self._output = zeros((DRAWS,), np.int32, "the characters that are drawn")
        self._uniform = zeros((DRAWS,), self.architecture.dtype, "the random numbers")
        self._clock = placed.k.zeros((3,), np.int64)
        self._ngrams, self.weight = placed.ngrams, placed.ngram_weight
        shape = (0 if self._ngrams is None else 1, self.architecture.vocabulary_size)
        self._expected = zeros(shape, self.architecture.dtype, "what the n-grams predict")
        self._generate = build_generation(placed.k)
        self._prepared: Generation | None = None

    def compile(self) -> None:
        """Compile the next character, or load it from the cache: nothing is generated."""
        self.k.from_host(self._clock, np.array([1, 0, 0]))  # a GPU looks at the arrays as it compiles
        self._generate(0, self._state(Sampling()))

    def _state(self, sampling: Sampling) -> Generation:
        """The state; the same one for the same settings, because a backend prepares its work for a state."""
        temperature = float(sampling.temperature) if sampling.temperature >= LOWEST_TEMPERATURE else 0.0
        top_k = min(int(sampling.top_k), self.architecture.vocabulary_size)
        settings = self.weight, temperature, top_k, float(sampling.top_p)
        if self._prepared is None or self._prepared[-len(settings) :] != settings:
            self._prepared = Generation(
                self.placed.p, self.a, self.placed.c, self._window, self._output, self._clock, self._uniform,
                self._expected, *settings,
            )  # fmt: skip
        return self._prepared

    def stream(
        self, prompt: IdArray, length: int, sampling: Sampling, chunk: int | None = None
    ) -> Iterator[npt.NDArray[np.int32]]:
        """`length` new ids, in pieces (n,) as they come.

        prompt  (n,)  ids, of which the last seq_len count, and of n-grams those that they look back; without
                any, the character with id 0 is the prompt
        chunk   ids to a piece; None: one at first, then as many as take PIECE_SECONDS

        The ids depend on the prompt and the sampling alone, not on the pieces. Raises MicrogptError for a
        negative length, and ValueError for ids that the model does not have, before anything is generated.
        """
        if length < 0:
            raise MicrogptError(f"--length must be at least 0, not {shown(length)}")
        if chunk is not None and chunk < 1:
            raise ValueError(f"a piece has at least 1 character, not {chunk}")
        V, T = self.architecture.vocabulary_size, self.architecture.seq_len
        context = 0 if self._ngrams is None else self._ngrams.order - 1
        seen = np.asarray(prompt[-max(T, context) :] if len(prompt) else [0])
        if not 0 <= seen.min() <= seen.max() < V:
            raise ValueError(f"ids must lie between 0 and {V - 1}")
        return self._pieces(seen, length, sampling, chunk)

    def samples(
        self, prompt: IdArray, length: int, sampling: Sampling, n: int
    ) -> Iterator[Iterator[npt.NDArray[np.int32]]]:
        """n streams after the same prompt; the i-th, from 0, is that of the seed sampling.seed + i alone.

        Each overwrites the arrays of the one before. Raises as `stream` does.
        """
        for i in range(n):
            yield self.stream(prompt, length, replace(sampling, seed=sampling.seed + i))

    def step(
        self, window: Sequence[int], kept: int, before: Sequence[int], sampling: Sampling, uniform: float
    ) -> tuple[Array, int]:
        """The logits (V,) of the character that follows a window, n-grams included, and one that they draw.

        window   ids (n,), 1 <= n <= T, of the last characters of the text
        kept     how many of the first are those of the window of the call before, so that their rows are
                 there; at most n - 1
        before   ids: the text, of which the n-grams see the end
        uniform  the random number in [0, 1) of the draw

        What is drawn is returned, and is not yet a part of the text. A stream overwrites the rows.
        """
        k, n = self.k, len(window)
        padded = np.zeros(self.architecture.seq_len, np.int32)
        padded[:n] = window
        k.from_host(self._window, padded)
        k.from_host(self._uniform, np.full(DRAWS, uniform, np.float32))
        k.from_host(self._clock, np.array([n, kept, 0]))
        if self._ngrams is not None:
            k.from_host(self._expected, self._ngrams.next(before[-self._ngrams.order :])[None])
        self._generate(1, self._state(sampling))
        return k.to_host(self.a.logits)[n - 1].copy(), int(k.to_host(self._output)[0])

    def _pieces(
        self, seen: Array, length: int, sampling: Sampling, chunk: int | None
    ) -> Iterator[npt.NDArray[np.int32]]:
        k, state, T = self.k, self._state(sampling), self.architecture.seq_len
        text = [int(symbol) for symbol in seen]  # what the n-grams look up
        in_window, computed = min(len(seen), T), 0
        window = np.zeros(T, np.int32)
        window[:in_window] = seen[-T:]
        k.from_host(self._window, window)
        random = np.random.default_rng(sampling.seed)
        n = chunk or 1
        for begin in range(0, length, DRAWS):
            # float32 in either dtype, so that both draw by the same numbers
            k.from_host(self._uniform, random.random(DRAWS, np.float32))
            k.from_host(self._clock, np.array([in_window, computed, 0]))
            drawn, block = 0, min(DRAWS, length - begin)
            while drawn < block:
                n = min(n, block - drawn)
                started = time.perf_counter()
                if self._ngrams is None:
                    self._generate(n, state)
                else:
                    self._interpolate(state, drawn, n, text)
                piece = k.to_host(self._output)[drawn : drawn + n].copy()
                seconds = time.perf_counter() - started
                drawn += n
                yield piece
                n = chunk or max(1, min(2 * n, int(n * PIECE_SECONDS / seconds)))
            in_window, computed, _ = k.to_host(self._clock)

    def _interpolate(self, state: Generation, drawn: int, n: int, text: list[int]) -> None:
        """Draw n characters one by one: the n-grams have to know each before they predict the next.

        drawn  how many slots of the output are full
        text   the last characters; moves on
        """
        k, ngrams = self.k, self._ngrams
        assert ngrams is not None
        for slot in range(drawn, drawn + n):
            k.from_host(self._expected, ngrams.next(text)[None])
            self._generate(1, state)
            text.append(int(k.to_host(self._output)[slot]))
            del text[: -ngrams.order]
