"""A trained model for use from Python, made by `train` and `load`."""

from __future__ import annotations

import codecs
import copy
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microgpt.api.log import Log
from microgpt.api.words import explained
from microgpt.arrays import Array, IdArray
from microgpt.bounds import MAX_XRAY_CHARACTERS, XRAY_CHARACTERS
from microgpt.checkpoint.saved import (
    MODEL_FILE,
    STATE_FILE,
    SavedModel,
    SavedState,
    load_model,
    read_description,
)
from microgpt.checkpoint.snapshots import snapshots
from microgpt.checkpoint.writing import save_model
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, shown, shown_path
from microgpt.machine.address_space import check_address_space
from microgpt.machine.backends import Listener, compiled, load_backend
from microgpt.machine.budget import Budget
from microgpt.model.heads import format_layout
from microgpt.model.placed import place
from microgpt.text.ngrams import NGrams
from microgpt.text.opening import in_memory
from microgpt.text.reading import Text, encode_file
from microgpt.use.draft import Draft
from microgpt.use.evaluate import Evaluator, Score
from microgpt.use.generate import Generator, Sampling, encode_prompt, until
from microgpt.use.novelty import Novelty, learned, novelty

if TYPE_CHECKING:
    from microgpt.xray.xray import Xray

Pathname = str | os.PathLike[str]


class Model:
    """A trained model, made by `train` and `load`.

    architecture  its sizes; `.heads` in it has the width of every head of every layer
    vocabulary    the V characters that it knows: `.characters`, sorted; `.encode(text)`, `.decode(ids)`
    heads         the layout of its heads, in the words of the option `heads`
    config        the options that it was trained with; None where a file does not say them
    notes         what is known of its training: "step", "smoothed_loss", "val_loss", "text" and others
    path          the file that it was read from; None for one that is in memory only
    backend       the name of the backend that computes

    Losses are in nats per character: to compare, a model that knows nothing has ln V.

    >>> import microgpt
    >>> text = "a cat and a hat\\n" * 20
    >>> model = microgpt.train(text, steps=20, seq_len=16, d_model=16, backend="reference")
    >>> model.vocabulary.characters, model.heads, model.architecture.n_layers
    ('\\n acdhnt', '16', 2)
    >>> len(model.generate("a ", length=30))
    30
    >>> model.logits("a cat").shape, model.losses("a cat").shape
    ((5, 8), (4,))
    """

    def __init__(
        self,
        saved: SavedModel,
        backend: str,
        listener: Listener,
        *,
        param: Array | None = None,
        config: TrainConfig | None = None,
    ) -> None:
        """The model that `saved` describes, with the weights param (P,), or those of its file."""
        self.architecture, self.vocabulary, self.notes = saved.architecture, saved.vocabulary, saved.notes
        self.backend, self.config = backend, config
        self.path = saved.path if param is None else None
        self._listener = listener
        k = load_backend(backend, listener)
        k.set_threads(1)
        if isinstance(saved, SavedState) and saved.config.ngrams and saved.ngrams is None:
            raise MicrogptError(
                f"{shown_path(saved.path)} does not hold the n-grams of its model: name its directory, or "
                f"{shown_path(saved.path.with_name(MODEL_FILE))}"
            )
        self._placed = dataclasses.replace(
            place(k, saved.architecture, Budget(None)), ngrams=saved.ngrams, ngram_weight=saved.ngram_weight
        )
        if param is None:
            saved.read_into(k, {"": self._placed.param})
        else:
            k.from_host(self._placed.param, param)
        self._idle: list[Generator] = []

    @property
    def ngrams(self) -> NGrams | None:
        """The n-grams that its network is interpolated with; None for none."""
        return self._placed.ngrams

    @property
    def ngram_weight(self) -> float | None:
        """Their weight, from 0 to 1, of which the network has the rest; None without n-grams.

        It is the one that was best for the text that was held out in training, or else 1/2.
        """
        return None if self.ngrams is None else self._placed.ngram_weight

    @property
    def network(self) -> Model:
        """The same model without its n-grams."""
        network = copy.copy(self)
        network._placed, network._idle = dataclasses.replace(self._placed, ngrams=None), []
        return network

    @property
    def param(self) -> Array:
        """The weights (P,), in the order of `parameters.table`: a copy on the host."""
        param: Array = self._placed.k.to_host(self._placed.param)
        return param

    @property
    def heads(self) -> str:
        """The layout of the heads, such as '16+8+8+32', or '4x16 | 64' for layers that differ."""
        return format_layout(self.architecture.heads)

    def __repr__(self) -> str:
        architecture, loss = self.architecture, self.notes.get("smoothed_loss")
        known = {
            "step": self.notes.get("step"),
            "loss": None if loss is None else round(loss, 4),
            "parameters": len(self._placed.param),
            "characters": len(self.vocabulary),
            "heads": self.heads,
            "ngrams": None if self.ngrams is None else self.ngrams.order,
            **{name: getattr(architecture, name) for name in ("d_model", "n_layers", "seq_len")},
            "backend": self.backend,
        }
        return (
            f"Model({', '.join(f'{name}={value!r}' for name, value in known.items() if value is not None)})"
        )

    def generate(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = Sampling.temperature,
        top_k: int = Sampling.top_k,
        top_p: float = Sampling.top_p,
        seed: int = Sampling.seed,
        stop: str = "",
    ) -> str:
        """The text that follows a prompt: `length` characters, or fewer where `stop` comes up before.

        prompt       is no part of the result; the model sees its last seq_len characters at the most, and
                     n-grams those that they look back
        temperature  0 takes the likeliest character each time; 1 draws with the model's probabilities
        top_k        draw from the k likeliest characters only; 0 for all
        top_p        draw from the fewest likeliest characters that have this probability together
        seed         the same seed writes the same text
        stop         a text to end before; "" for none

        Raises MicrogptError, for a prompt with characters that the model does not know among others.
        """
        return "".join(
            self.stream(
                prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, stop=stop
            )
        )

    def stream(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = Sampling.temperature,
        top_k: int = Sampling.top_k,
        top_p: float = Sampling.top_p,
        seed: int = Sampling.seed,
        stop: str = "",
    ) -> Iterator[str]:
        """The text of `generate` in pieces as they come, about thirty a second.

        for piece in model.stream("Once"):
            print(piece, end="", flush=True)

        Raises MicrogptError as `generate` does, and before the first piece is asked for.
        """
        with explained():
            ids = encode_prompt(self.vocabulary, prompt)
            sampling = Sampling(temperature, top_k, top_p, seed)
            generator = self._idle.pop() if self._idle else self._new_generator()
            drawn = generator.stream(ids, length, sampling)
        pieces = self._pieces(generator, drawn)
        return until(pieces, stop) if stop else pieces

    def draft(
        self,
        prompt: str = "",
        *,
        temperature: float = Sampling.temperature,
        top_k: int = Sampling.top_k,
        top_p: float = Sampling.top_p,
        seed: int = Sampling.seed,
    ) -> Draft:
        """A text to go on with, character by character, beside what the model expects of the next one.

        Its continuation is what `generate` would write with the same parameters.

        >>> import microgpt
        >>> text = "a cat and a hat\\n" * 20
        >>> model = microgpt.train(text, steps=200, seq_len=16, d_model=16, backend="reference")
        >>> draft = model.draft("a ca")
        >>> [character for character, probability in draft.alternatives(1)]
        ['t']
        >>> draft.write("n")
        >>> draft.text, draft.written[0][1] > 3  # bits of surprise
        ('a can', True)

        Raises MicrogptError for a prompt with characters that the model does not know.
        """
        with explained():
            sampling = Sampling(temperature, top_k, top_p, seed)
            return Draft(self._new_generator(), self.vocabulary, prompt, sampling)

    def _new_generator(self) -> Generator:
        generator = Generator(dataclasses.replace(self._placed, budget=Budget(None)))
        compiled(self._listener, generator.compile)
        return generator

    def _pieces(self, generator: Generator, drawn: Iterator[IdArray]) -> Iterator[str]:
        """A generator writes one text at a time: another stream can use it only after this one has ended."""
        try:
            yield from map(self.vocabulary.decode, drawn)
        finally:
            self._idle.append(generator)

    def score(
        self,
        text: str | os.PathLike[str] | Text,
        *,
        skip_unknown: bool = False,
        before: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> Score:
        """How well the model predicts a text: the mean loss as `.nats` and `.bits`, and the `.perplexity`.

        text          a `str` is the text itself, of at least 2 characters; a `pathlib.Path` is its file
        skip_unknown  leave out the characters that the model does not know
        before        what precedes the text, for the n-grams of a model that has them
        progress      called on the way with two numbers of characters: those done, and all

        Every character but the first is predicted once. The text is read in chunks of seq_len characters,
        each with nothing before it: a character is predicted from those before it in its chunk, and the first
        of a chunk from the whole chunk before. n-grams see the characters before it in any chunk. Raises
        MicrogptError.
        """
        with explained():
            encoded = text if isinstance(text, Text) else self._encode(text, skip_unknown=skip_unknown)
            return self._evaluator(encoded.ids, self.vocabulary.encode(before)).score(progress)

    def losses(self, text: str) -> Array:
        """The losses (len(text) - 1,) of all characters but the first, in nats: minus the logs of their
        probabilities.

        losses[i] is that of text[i + 1], predicted from the characters before it as `score` describes; the
        mean of all is the score. Raises MicrogptError for unknown characters, and for fewer than 2.
        """
        with explained():
            ids = self._encode(text).ids
            losses = np.empty(len(ids) - 1, self.architecture.dtype)
            for part, values in self._evaluator(ids).losses():
                losses[part] = values
            return losses

    def logits(self, text: str) -> Array:
        """The logits (len(text), V) of what follows each character; a softmax makes probabilities of a row.

        Row i predicts text[i + 1], and the last row what would follow the text; column j is that of the
        character vocabulary.characters[j]. Row i sees the characters of its chunk up to text[i], as `score`
        describes. To see as much as possible of a longer text, take the last row of
        logits(text[-seq_len:]). Raises MicrogptError for unknown characters, and for an empty text.
        """
        with explained():
            ids = self._encode(text).ids
            logits = np.empty((len(ids), len(self.vocabulary)), self.architecture.dtype)
            # a row is computed for a character that has one after it, whatever that is
            for part, values in self._evaluator(np.append(ids, ids[:1])).logits():
                logits[part] = values
            return logits

    def xray(
        self,
        text: str | os.PathLike[str] | Text | None = None,
        *,
        characters: int = XRAY_CHARACTERS,
        skip_unknown: bool = False,
        shapley: bool = False,
        film: bool = False,
    ) -> Xray:
        """What each head of the model does on a text: named arrays, which `Xray` explains.

        text          a `str` is the text itself, a `pathlib.Path` its file; None for what the run held out
        characters    look at this many at the most, from the beginning of the text
        skip_unknown  leave out the characters that the model does not know
        shapley       also compute what each head is worth over all orders in which heads can be switched on:
                      exactly for up to 16 heads, which takes minutes for long texts, and from random orders,
                      for a minute, of more
        film          also how some measures changed in training, from the `snapshots` that the run has kept

        >>> import microgpt
        >>> text = "a cat and a hat\\n" * 20
        >>> model = microgpt.train(text, steps=20, seq_len=16, d_model=16, backend="reference")
        >>> found = model.xray(text)
        >>> [head.name for head in found.heads], found.bits.shape, found.patterns.offsets.shape
        (['1.1', '2.1'], (319,), (2, 8))

        Raises MicrogptError, where nothing was held out among others.
        """
        from microgpt.xray.held_out import held_out
        from microgpt.xray.run import described
        from microgpt.xray.xray import xray  # it needs SciPy's statistics, which take half a second to import

        with explained():
            if not (isinstance(characters, int | np.integer) and 2 <= characters <= MAX_XRAY_CHARACTERS):
                raise MicrogptError(
                    f"--characters must be a whole number from 2 to {MAX_XRAY_CHARACTERS:,}, "
                    f"not {shown(characters)}"
                )
            if text is None:
                ids, source = held_out(self.config, self.notes, self.vocabulary), "held-out text"
            else:
                encoded = text if isinstance(text, Text) else self._encode(text, skip_unknown=skip_unknown)
                ids, source = encoded.ids, "your text"
                if len(ids) > characters:
                    self._listener.note(f"the first {characters:,} of {len(ids):,} characters are looked at")
            kept = self._snapshots() if film else None
            order = None if self.ngrams is None else self.ngrams.order
            run = described(self.path, self.notes, self.config, self.backend, order)
            network = dataclasses.replace(self._placed, budget=Budget(None), ngrams=None)
            ids = np.ascontiguousarray(ids[:characters])
            return xray(
                network, self.vocabulary, ids, source, run, self._listener,
                with_shapley=shapley, snapshots=kept,
            )  # fmt: skip

    def _snapshots(self) -> dict[int, Path]:
        """The snapshots of the run that the model is of. Raises MicrogptError where there are none."""
        found = {} if self.path is None else snapshots(self.path.parent)
        if not found:
            of_what = "a model in memory" if self.path is None else shown_path(self.path.parent)
            raise MicrogptError(
                f"{of_what} has no snapshots: `microgpt train TEXT --snapshots 60` keeps those of a run"
            )
        return found

    def novelty(self, generated: str, text: str | os.PathLike[str] | None = None) -> Novelty:
        """What a generated text has copied: of each of its characters the longest piece that ends with it and
        stands in another text, as `.lengths` and `.places`; the `.share()` in copies of more than 20
        characters; the `.copies()`, and the `.longest` one.

        text  a `str` is the text itself, a `pathlib.Path` its file; None for what the run was trained on,
              without the part that it held out, if its file is still there

        >>> import microgpt
        >>> text = "a cat and a hat\\n" * 20
        >>> model = microgpt.train(text, steps=2, seq_len=16, d_model=16, backend="reference")
        >>> model.novelty("hat and a cat", text).lengths
        array([1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 3, 4, 5])

        Raises MicrogptError, for characters that the model does not know among others.
        """
        with explained():
            ids = self.vocabulary.encode(generated)
            if text is not None:
                return novelty(ids, self._encode(text, skip_unknown=True).ids)
            if self.config is None:
                raise MicrogptError(
                    "this model does not say what it was trained on: give the text, or load a run's directory"
                )
            own = learned(self.config, self.notes, self.vocabulary, "text=... says what to compare with")
            return novelty(ids, own.ids)

    def _encode(self, text: str | os.PathLike[str], *, skip_unknown: bool | None = None) -> Text:
        # U+FEFF at the start of a file is a byte order mark, but at the start of a `str` it is a character
        source = codecs.BOM_UTF8 + in_memory(text) if isinstance(text, str) else Path(text)
        otherwise = "leave them out" if skip_unknown is None else "skip_unknown=True leaves them out"
        return encode_file(source, self.vocabulary, skip_unknown=bool(skip_unknown), otherwise=otherwise)

    def _evaluator(self, ids: IdArray, before: IdArray | None = None) -> Evaluator:
        evaluator = Evaluator(dataclasses.replace(self._placed, budget=Budget(None)), ids, before)
        compiled(self._listener, evaluator.compile)
        return evaluator

    def save(self, path: Pathname) -> None:
        """Write a checkpoint, such as model.safetensors, for `load` and for `microgpt generate`.

        A file that is there is replaced, at once and as a whole. Raises MicrogptError.
        """
        with explained():
            saved = SavedModel(
                architecture=self.architecture,
                vocabulary=self.vocabulary,
                notes=self.notes,
                ngrams=self.ngrams,
                ngram_weight=self._placed.ngram_weight,
            )
            save_model(Path(path), saved, self.param)


def load(path: Pathname, *, backend: str = TrainConfig.backend, last: bool = False) -> Model:
    """The model of a file that `Model.save` or `microgpt train` has written, or of a run's directory.

    path     a file, such as model.safetensors; or a directory, of which the weights with the lowest
             validation loss are taken, as by `microgpt generate`, or else the last ones
    backend  what computes: one of those that `microgpt backends` lists
    last     take the last weights of a directory in any case

    Raises MicrogptError, which names the file, for whatever is not a whole checkpoint.
    """
    path, listener = Path(path), Log()
    with explained():
        check_address_space()
        saved = load_model(path, last=last)
        return Model(saved, backend, listener, config=config_of_run(path, saved))


def config_of_run(path: Path, saved: SavedModel) -> TrainConfig | None:
    """The options of the run whose directory or file this is; None where it does not say them."""
    has_state = path.is_dir() and (path / STATE_FILE).exists()
    return config_of(read_description(path / STATE_FILE) if has_state else saved)


def config_of(saved: SavedModel) -> TrainConfig | None:
    return saved.config if isinstance(saved, SavedState) else None
