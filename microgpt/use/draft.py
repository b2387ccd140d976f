"""A text that a person and a model write together: what the model expects next, and what has surprised it."""

from __future__ import annotations

import math
from itertools import takewhile

import numpy as np

from microgpt.arrays import Array
from microgpt.text.vocabulary import Vocabulary
from microgpt.use.generate import DRAWS, Generator, Sampling, encode_prompt, window_begin


class Draft:
    """A text that begins with a prompt and grows by one character at a time.

    prompt    the beginning, which stays
    sampling  how the continuation is drawn; the probabilities and the bits are the model's own in any case

    The random number of each draw belongs to its place in the text. So the continuation stays the same while
    it is followed, and whoever takes all of it gets what `generate` writes after the prompt.

    Raises MicrogptError naming the characters of the prompt that the model does not know.
    """

    def __init__(self, generator: Generator, vocabulary: Vocabulary, prompt: str, sampling: Sampling) -> None:
        self.vocabulary, self.prompt, self.sampling = vocabulary, prompt, sampling
        self._generator, self._T = generator, generator.architecture.seq_len
        self._ids: list[int] = encode_prompt(vocabulary, prompt).tolist()
        self._n_prompt = len(self._ids)
        # a stream begins with as much of its prompt as the window holds
        self._origin = max(0, self._n_prompt - self._T)
        self._bits: list[float] = []
        self._ahead: list[int] = []  # the continuation
        self._window: list[int] = []  # whose rows the generator keeps
        self._begin_to_draw(sampling.seed)
        self._logits, self._drawn = self._look(self._ids)

    @property
    def written(self) -> list[tuple[str, float]]:
        """What came after the prompt: each character, and its surprise, -log2 of its probability, in bits."""
        characters = self.vocabulary.decode(self._ids[self._n_prompt :])
        return list(zip(characters, self._bits, strict=True))

    @property
    def text(self) -> str:
        """The prompt and what came after it."""
        return self.prompt + self.vocabulary.decode(self._ids[self._n_prompt :])

    @property
    def continuation(self) -> str:
        """What the model would write next, as far as it has been drawn."""
        return self.vocabulary.decode(self._ahead)

    def alternatives(self, n: int) -> list[tuple[str, float]]:
        """The n likeliest next characters, or all of fewer, with their probabilities; the likeliest first."""
        logits = self._logits.astype(np.float64)
        probabilities = np.exp(logits - _log_of_sum(logits))
        likeliest = np.argsort(-probabilities, kind="stable")[:n]
        return [(self.vocabulary.characters[i], float(probabilities[i])) for i in likeliest]

    def write(self, character: str) -> None:
        """Add a character. Raises MicrogptError, which names it, for one that the model does not know."""
        (symbol,) = self.vocabulary.encode(character).tolist()
        logits = self._logits.astype(np.float64)
        self._bits.append(float(_log_of_sum(logits) - logits[symbol]) / math.log(2))
        self._ids.append(symbol)
        self._ahead = self._ahead[1:] if self._ahead[:1] == [symbol] else []
        self._logits, self._drawn = self._look(self._ids)

    def erase(self) -> None:
        """Take the last character away, down to the prompt."""
        if self._bits:
            self._bits.pop()
            self._ids.pop()
            self._ahead = []
            self._logits, self._drawn = self._look(self._ids)

    def draw(self) -> None:
        """Add a character to the continuation."""
        drawn = self._look([*self._ids, *self._ahead])[1] if self._ahead else self._drawn
        self._ahead.append(drawn)

    def accept(self, n: int) -> None:
        """Write the first n characters of the continuation, or all of fewer."""
        for character in self.continuation[:n]:
            self.write(character)

    def draw_another(self) -> None:
        """Begin another continuation: that of the next seed."""
        self._begin_to_draw(self._seed + 1)
        self._ahead = []
        self._logits, self._drawn = self._look(self._ids)

    def _begin_to_draw(self, seed: int) -> None:
        self._seed, self._random = seed, np.random.default_rng(seed)
        self._uniform: list[float] = []

    def _look(self, ids: list[int]) -> tuple[Array, int]:
        """The logits (V,) of what follows these ids, and the character that is drawn there."""
        place = len(ids) - self._n_prompt
        while place >= len(self._uniform):
            self._uniform += self._random.random(DRAWS, np.float32).tolist()
        window = ids[self._origin + window_begin(len(ids) - self._origin, self._T) :]
        pairs = zip(self._window, window[:-1], strict=False)
        kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._window = window
        return self._generator.step(window, kept, ids, self.sampling, self._uniform[place])


def _log_of_sum(logits: Array) -> float:
    """The log of the sum of the exponentials: what makes probabilities of logits."""
    highest = float(logits.max())
    return highest + math.log(float(np.exp(logits - highest).sum()))
