"""The package from Python: `microgpt.train` and `microgpt.load` return a `microgpt.Model`.

What a user should know meanwhile, such as that kernels are being compiled or that a run was interrupted, goes
to the logger `microgpt`. Python shows that on standard error, unless `logging` is set up otherwise.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import logging
import math
import numbers
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
from microgpt_kernels import BackendError

from microgpt.arrays import Array, IdArray
from microgpt.checkpoint.saved import STATE_FILE, SavedModel, SavedState, load_model, read_description
from microgpt.checkpoint.writing import save_model
from microgpt.config import HINTS, TrainConfig
from microgpt.errors import MicrogptError, UsageError, shown, shown_path
from microgpt.fields import checked
from microgpt.machine.address_space import check_address_space
from microgpt.machine.backends import Listener, compiled, load_backend
from microgpt.machine.budget import Budget
from microgpt.model.heads import format_layout
from microgpt.model.placed import place
from microgpt.terminal import interruption
from microgpt.terminal.invocation import pasteable
from microgpt.text.opening import IN_MEMORY, in_memory
from microgpt.text.reading import Text, encode_file
from microgpt.use.evaluate import Evaluator, Score
from microgpt.use.generate import Generator, Sampling, encode_prompt, until

if TYPE_CHECKING:
    from microgpt.training.reporter import Summary

LOG = logging.getLogger("microgpt")
Pathname = str | os.PathLike[str]

# The threads of some machines' Numba end the process where two Python threads use them at once.
_one_at_a_time = threading.RLock()


class Options(TypedDict, total=False):
    """The options of `train`, which are those of `microgpt train`; TrainConfig has the defaults."""

    steps: int
    heads: str
    backend: str
    seq_len: int
    stride: int | None
    batch_size: int
    order: str
    d_model: int
    n_layers: int
    d_ff: int | None
    positions: str
    lr: float
    beta2: float
    schedule: str
    min_lr: float | None
    warmup: int
    clip: float
    weight_decay: float
    val_fraction: float
    eval_every: int | None
    sample_every: int | None
    seed: int
    dtype: str
    threads: int | None
    memory_cap: str
    out: Pathname | None
    weights: Pathname | None


class Model:
    """A trained model, made by `train` and `load`.

    architecture  its sizes; `.heads` in it has the width of every head of every layer
    vocabulary    the V characters that it knows: `.characters`, sorted; `.encode(text)`, `.decode(ids)`
    heads         the layout of its heads, in the words of the option `heads`
    config        the options that it was trained with; None where a file does not say them
    notes         what is known of its training: "step", "smoothed_loss", "val_loss", "text" and others
    path          the file that it was read from; None for one that is in memory only
    backend       what computes

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
        self._placed = place(k, saved.architecture, Budget(None))
        if param is None:
            saved.read_into(k, {"": self._placed.param})
        else:
            k.from_host(self._placed.param, param)
        self._idle: list[Generator] = []

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

        prompt       is no part of the result; the model sees its last seq_len characters at the most
        temperature  0 takes the likeliest character each time; 1 draws as the model says
        top_k        draw from the k likeliest characters only; 0 for all
        top_p        draw from the fewest likeliest characters that have this probability together
        seed         the same seed writes the same text
        stop         a text to end at, and itself left out; "" for none

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
        with _explained():
            ids = encode_prompt(self.vocabulary, prompt)
            sampling = Sampling(temperature, top_k, top_p, seed)
            generator = self._idle.pop() if self._idle else self._new_generator()
            drawn = generator.stream(ids, length, sampling)
        pieces = self._pieces(generator, drawn)
        return until(pieces, stop) if stop else pieces

    def _new_generator(self) -> Generator:
        generator = Generator(dataclasses.replace(self._placed, budget=Budget(None)))
        compiled(self._listener, generator.compile)
        return generator

    def _pieces(self, generator: Generator, drawn: Iterator[IdArray]) -> Iterator[str]:
        """A generator writes one text at a time: it is no other stream's before this one has ended."""
        try:
            yield from map(self.vocabulary.decode, drawn)
        finally:
            self._idle.append(generator)

    def score(
        self,
        text: str | os.PathLike[str] | Text,
        *,
        skip_unknown: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Score:
        """How well the model predicts a text: the mean loss as `.nats` and `.bits`, and the `.perplexity`.

        text          a `str` is the text itself, of at least 2 characters; a `pathlib.Path` is its file
        skip_unknown  leave out the characters that the model does not know
        progress      called on the way with two numbers of characters: those done, and all

        Every character but the first is predicted once. The text is read in chunks of seq_len characters,
        each with nothing before it: a character is predicted from those before it in its chunk, and the first
        of a chunk from the whole chunk before. Raises MicrogptError.
        """
        with _explained():
            encoded = text if isinstance(text, Text) else self._encode(text, skip_unknown=skip_unknown)
            return self._evaluator(encoded.ids).score(progress)

    def losses(self, text: str) -> Array:
        """The losses (len(text) - 1,) of all characters but the first, in nats: minus the logs of their
        probabilities.

        losses[i] is that of text[i + 1], predicted from the characters before it as `score` describes; the
        mean of all is the score. Raises MicrogptError for unknown characters, and for fewer than 2.
        """
        with _explained():
            ids = self._encode(text).ids
            losses = np.empty(len(ids) - 1, self.architecture.dtype)
            for part, values, _ in self._evaluator(ids).rows():
                losses[part] = values
            return losses

    def logits(self, text: str) -> Array:
        """The logits (len(text), V) of what follows each character; a softmax makes probabilities of a row.

        Row i predicts text[i + 1], and the last row what would follow the text; column j is that of the
        character vocabulary.characters[j]. Row i sees the characters of its chunk up to text[i], as `score`
        describes. To see as much as possible of a longer text, take the last row of
        logits(text[-seq_len:]). Raises MicrogptError for unknown characters, and for an empty text.
        """
        with _explained():
            ids = self._encode(text).ids
            logits = np.empty((len(ids), len(self.vocabulary)), self.architecture.dtype)
            # a row is computed for a character that has one after it, whatever that is
            for part, _, values in self._evaluator(np.append(ids, ids[:1])).rows():
                logits[part] = values
            return logits

    def _encode(self, text: str | os.PathLike[str], *, skip_unknown: bool | None = None) -> Text:
        # what a file begins with may be a byte order mark, and what a text begins with is a character
        source = codecs.BOM_UTF8 + in_memory(text) if isinstance(text, str) else Path(text)
        otherwise = "leave them out" if skip_unknown is None else "skip_unknown=True leaves them out"
        return encode_file(source, self.vocabulary, skip_unknown=bool(skip_unknown), otherwise=otherwise)

    def _evaluator(self, ids: IdArray) -> Evaluator:
        evaluator = Evaluator(dataclasses.replace(self._placed, budget=Budget(None)), ids)
        compiled(self._listener, evaluator.compile)
        return evaluator

    def save(self, path: Pathname) -> None:
        """Write a checkpoint, such as model.safetensors, for `load` and for `microgpt generate`.

        A file that is there is replaced, at once and as a whole. Raises MicrogptError.
        """
        with _explained():
            saved = SavedModel(architecture=self.architecture, vocabulary=self.vocabulary, notes=self.notes)
            save_model(Path(path), saved, self._placed.k.to_host(self._placed.param))


def load(path: Pathname, *, backend: str = TrainConfig.backend, last: bool = False) -> Model:
    """The model of a file that `Model.save` or `microgpt train` has written, or of a run's directory.

    path     a file, such as model.safetensors; or a directory, of which the weights with the lowest
             validation loss are taken, as by `microgpt generate`, or else the last ones
    backend  what computes: one of those that `microgpt backends` lists
    last     take the last weights of a directory in any case

    Raises MicrogptError, which names the file, for whatever is not a whole checkpoint.
    """
    path, listener = Path(path), _Log()
    with _explained():
        check_address_space()
        saved = load_model(path, last=last)
        has_state = path.is_dir() and (path / STATE_FILE).exists()
        state = read_description(path / STATE_FILE) if has_state else saved
        return Model(saved, backend, listener, config=_config(state))


def train(
    text_or_path: Pathname | None = None,
    *,
    text: str | None = None,
    progress: Callable[[dict[str, Any]], object] | None = None,
    last: bool = False,
    extend_vocabulary: bool = False,
    **options: Unpack[Options],
) -> Model:
    """Train a model on a text; with the same options, it is the model that `microgpt train` makes.

    text_or_path       a text, or the path of one in UTF-8. A `pathlib.Path` is a path. A `str` with a line
                       break in it is a text, and any other `str` is a path; which files exist plays no part
    text               in place of that: a text, even of a single line
    progress           called about a hundred times with a dictionary, the entries of a line of
                       `metrics.jsonl`: among them "step", "loss" and "smoothed_loss" in nats per character,
                       "val_loss", which is None except after an evaluation, and "elapsed_s". The samples of
                       `sample_every` come as {"step": ..., "sample": ...}. It may raise StopIteration to end
                       the training
    last               return the last weights, not those with the lowest validation loss, which `load` and
                       `microgpt generate` take as well; without `val_fraction` they are the same
    extend_vocabulary  with `weights`: add the text's new characters to those that the weights know
    options            the options of `microgpt train`; `Options` lists them

    Nothing is written, unless `out` names a directory for the run. An interruption (Ctrl-C, or the stop
    button of a notebook) ends the training after its current step and returns the model of that step; a
    second one, or one before the first step, is a KeyboardInterrupt as usual. Only the main thread can be
    interrupted so; in others, `progress` can end the training. One model is trained at a time: a second
    thread waits for the first.

    Raises MicrogptError; of its kinds, UsageError for options that cannot be meant, and NotFiniteError where
    the loss stops being a finite number.

    >>> import microgpt
    >>> text = "the cat sat on the mat; a dog ate the hat.\\n" * 20
    >>> history = []
    >>> model = microgpt.train(text, steps=50, seq_len=16, d_model=16, lr=1e-2, progress=history.append)
    >>> len(history), history[-1]["step"]
    (50, 50)
    >>> history[-1]["loss"] < history[0]["loss"]
    True
    >>> microgpt.train(text, n_layer=4)
    Traceback (most recent call last):
    microgpt.errors.UsageError: train: unknown key 'n_layer'; here it is 'n_layers'
    """
    from microgpt.training.output import MemoryOutput
    from microgpt.training.start import start

    file, content = _source(text_or_path, text)
    given = _checked(file, options)
    reporter = _Reporter(progress)
    output = None if "out" in given else MemoryOutput()
    with _explained():
        check_address_space()
        with _one_at_a_time:
            result = start(
                given, reporter, extend_vocabulary=extend_vocabulary, content=content, output=output
            )
    backend = given.get("backend", TrainConfig.backend)
    if output is None:
        model = load(result.out or "", backend=backend, last=last)
    else:
        assert output.last is not None
        kept = output.last if last else output.best or output.last
        model = Model(kept.model, backend, reporter, param=kept.param, config=_config(output.last.model))
    if result.interrupted:
        go_on = f"; to go on: {pasteable('train', '--resume', Path(result.out))}" if result.out else ""
        reporter.note(f"interrupted at step {result.step} of {result.steps}{go_on}")
    return model


def _config(saved: SavedModel) -> TrainConfig | None:
    return saved.config if isinstance(saved, SavedState) else None


def _source(text_or_path: Pathname | None, text: str | None) -> tuple[str, bytes | None]:
    """What stands for the file among the options, and the text itself where it is in memory."""
    if (text_or_path is None) == (text is None):
        raise UsageError("train: give one text: train('my.txt'), or train(text='a text of one line')")
    if text is None and isinstance(text_or_path, str) and re.search(r"[\r\n]", text_or_path):
        text = text_or_path
    if isinstance(text, str):
        return str(IN_MEMORY), in_memory(text)
    if text is not None or not isinstance(text_or_path, str | os.PathLike):
        what = text_or_path if text is None else text
        raise UsageError(f"train: a text is a str, and its file a str or a pathlib.Path, not {shown(what)}")
    path = os.fspath(text_or_path)
    if not os.path.exists(path):
        raise MicrogptError(
            f"there is no file {shown_path(path)}; to train on a text itself: train(text=...)"
        )
    return path, None


def _checked(file: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options by name and type. Raises UsageError."""
    if "file" in options:
        raise UsageError("train: the text or its path comes first: train('my.txt'), without file=")
    given = {name: _plain(value) for name, value in options.items()}
    for name in ("out", "weights"):
        if given.get(name) is None:
            given.pop(name, None)
    try:
        return checked(TrainConfig, {"file": file, **given}, "train", HINTS)
    except MicrogptError as error:
        raise UsageError(str(error)) from None


def _plain(value: Any) -> Any:
    """NumPy's numbers and paths as Python's numbers and strings."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    return value


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Errors in the words of Python: `--seq-len 128` is `seq_len=128`, but what is to be pasted stays."""

    def rename(match: re.Match[str]) -> str:
        if match["option"] is None:
            return match[0]
        name = {"from": "weights"}.get(match["option"], match["option"].replace("-", "_"))
        return f"{name}=" if match["value"] else name

    try:
        yield
    except BackendError as error:
        raise MicrogptError(str(error)) from None
    except MicrogptError as error:
        pattern = (
            r"microgpt [a-z]+ [^;]*|(?<![\w-])--(?P<option>[a-z][a-z0-9-]*[a-z0-9])(?P<value> (?=[\d'.]))?"
        )
        raise type(error)(re.sub(pattern, rename, str(error))) from None


class _Log:
    """Tells the logger what a user should know, and that something takes a while once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def note(self, text: str) -> None:
        LOG.warning("%s", text)

    def working(self, what: str, so_far: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self.note(f"{what} ...")

    def idle(self) -> None:
        pass


class _Reporter(_Log):
    """Hands the reports of a run to `progress`."""

    def __init__(self, progress: Callable[[dict[str, Any]], object] | None) -> None:
        super().__init__()
        self._progress, self._steps = progress, math.inf

    def started(self, summary: Summary) -> None:
        self._steps = summary.steps

    def advanced(self, metrics: dict[str, Any]) -> None:
        pass

    def reported(self, metrics: dict[str, Any]) -> None:
        self._call(metrics)

    def sampled(self, step: int, text: str) -> None:
        if step < self._steps:  # the model that is returned can write any others
            self._call({"step": step, "sample": text})

    def _call(self, metrics: dict[str, Any]) -> None:
        if self._progress is not None:
            try:
                self._progress(metrics)
            except StopIteration:
                interruption.ask()
