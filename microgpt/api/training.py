"""Training from Python: the options of the command line, and no files unless they are asked for."""

from __future__ import annotations

import math
import numbers
import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from microgpt.api.log import Log
from microgpt.api.model import Model, Pathname, config_of, load
from microgpt.api.words import explained
from microgpt.config import HINTS, TrainConfig
from microgpt.errors import MicrogptError, UsageError, shown, shown_path
from microgpt.fields import checked
from microgpt.machine.address_space import check_address_space
from microgpt.terminal import interruption
from microgpt.terminal.invocation import pasteable
from microgpt.text.opening import IN_MEMORY, in_memory

if TYPE_CHECKING:
    from microgpt.training.reporter import Summary

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
    activation: str
    token_shift: bool
    attention_scale: str
    init: str
    lr: float | None
    beta2: float | None
    schedule: str
    min_lr: float | None
    warmup: int | None
    clip: float
    weight_decay: float
    val_fraction: float
    eval_every: int | None
    sample_every: int | None
    snapshots: int | None
    ngrams: int
    seed: int
    dtype: str
    replicas: int | None
    local_steps: int | None
    outer_lr: float
    outer_momentum: float
    threads: int | None
    memory_cap: str
    out: Pathname | None
    weights: Pathname | None


def train(
    text_or_path: Pathname | None = None,
    *,
    text: str | None = None,
    minutes: float | None = None,
    progress: Callable[[dict[str, Any]], object] | None = None,
    last: bool = False,
    recipe: str | None = None,
    extend_vocabulary: bool = False,
    **options: Unpack[Options],
) -> Model:
    """Train a model on a text; with the same options, it is the model that `microgpt train` makes.

    text_or_path       a text, or the path of one in UTF-8. A `pathlib.Path` is a path. A `str` with a line
                       break in it is a text, and any other `str` is a path; which files exist plays no part
    text               in place of that: a text, even of a single line
    minutes            in place of `steps`: train for this long. The steps, the sizes and whatever else is not
                       given are chosen for this time, this text and this machine
    progress           called about a hundred times with a dictionary, the entries of a line of
                       `metrics.jsonl`: among them "step", "loss" and "smoothed_loss" in nats per character,
                       "val_loss", which is None except after an evaluation, and "elapsed_s"; with `ngrams`
                       also "network_val_loss", of the network alone, and "ngram_weight". The samples of
                       `sample_every` come as {"step": ..., "sample": ...}. It may raise StopIteration to end
                       the training
    last               return the last weights, not those with the lowest validation loss, which `load` and
                       `microgpt generate` take as well; without `val_fraction` they are the same
    recipe             a name for several options, such as "plain"; those that are given win over it
    extend_vocabulary  with `weights`: add the text's new characters to those that the weights know
    options            the options of `microgpt train`; `Options` lists them

    Nothing is written, unless `out` names a directory for the run; `snapshots` need one. An interruption
    (Ctrl-C, or the stop button of a notebook) ends the training after its current step and returns the model
    of that step; a second one, or one before the first step, is a KeyboardInterrupt as usual. Only the main
    thread can be interrupted so; in others, `progress` can end the training. One model is trained at a time:
    a second thread waits for the first.

    Raises MicrogptError; of its kinds, UsageError for options that make no sense, and NotFiniteError where
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
    with explained():
        check_address_space()
        with _one_at_a_time:
            result = start(
                given,
                reporter,
                minutes=_minutes(minutes),
                recipe=recipe,
                extend_vocabulary=extend_vocabulary,
                content=content,
                output=output,
            )
    backend = given.get("backend", TrainConfig.backend)
    if output is None:
        model = load(result.out or "", backend=backend, last=last)
    else:
        assert output.last is not None
        kept = output.last if last else output.best or output.last
        model = Model(kept.model, backend, reporter, param=kept.param, config=config_of(output.last.model))
    if result.interrupted:
        go_on = f"; to go on: {pasteable('train', '--resume', Path(result.out))}" if result.out else ""
        reporter.note(f"interrupted at step {result.step} of {result.steps}{go_on}")
    return model


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


def _minutes(value: Any) -> float | None:
    """Raises UsageError for what is no number."""
    minutes = _plain(value)
    if minutes is None or (isinstance(minutes, int | float) and not isinstance(minutes, bool)):
        return minutes
    raise UsageError(f"train: minutes = {shown(value)} should be a number")


def _plain(value: Any) -> Any:
    """NumPy's numbers and paths as Python's numbers and strings."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    return value


class _Reporter(Log):
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
