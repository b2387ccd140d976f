"""`microgpt generate`: texts from a trained model, and what of them is copied."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from microgpt.api.model import Model
from microgpt.commands.model import open_model
from microgpt.console import Display
from microgpt.errors import MicrogptError, UsageError
from microgpt.terminal.harmless import harmless_pieces
from microgpt.terminal.streams import lost
from microgpt.terminal.underlined import print_underlined
from microgpt.text.opening import STANDARD_INPUT
from microgpt.text.prompt import read_prompt
from microgpt.use.generate import Sampling
from microgpt.use.novelty import Learned, Novelty, figures, learned, novelty, sentences
from microgpt.use.own_text import state_of


def generate(
    run: Path,
    prompt: str,
    prompt_file: Path | None,
    length: int,
    num_samples: int,
    stop: str,
    *,
    novelty: bool,
    text: Path | None,
    last: bool,
    backend: str,
    as_json: bool,
    seed: int,
    **sampling: Any,
) -> None:
    """Stream `length` characters after the prompt to standard output, or as many as come before `stop`.

    Sample i has the seed `seed + i`, so that each of them can be written alone.

    novelty  also say what of each sample is copied from the run's own text, which lies in the file `text`, or
             where it was
    """
    try:
        Sampling(seed=seed, **sampling)
    except MicrogptError as error:
        raise UsageError(str(error)) from None
    display = Display()
    model = open_model(run, backend, display, last=last)
    learned = _learned(run, model, text) if novelty else None
    if prompt_file is not None or prompt == "-":
        prompt = read_prompt(prompt_file or STANDARD_INPUT)
    for i in range(seed, seed + num_samples):
        pieces = model.stream(prompt, length, seed=i, stop=stop, **sampling)
        begin = time.perf_counter()
        if as_json:
            written = "".join(pieces)
            seconds = time.perf_counter() - begin
            facts = {"seed": i, "prompt": prompt, "text": written, "characters": len(written)}
            facts["seconds"] = seconds
            if learned is not None:
                facts["novelty"] = figures(_novelty(written, learned, display), learned)
            print(json.dumps(facts), flush=True)
            continue
        if num_samples > 1:
            print(f"--- seed {i}")
        if learned is not None:
            name = f"the text of seed {i}" if num_samples > 1 else "the text"
            _write_with_novelty(prompt, pieces, learned, display, name)
        else:
            _write(prompt, pieces)
        if lost(sys.stdout):
            return


def _write(prompt: str, pieces: Iterable[str]) -> None:
    shown = itertools.chain([prompt], pieces)
    for piece in harmless_pieces(shown) if sys.stdout.isatty() else shown:
        print(piece, end="", flush=True)
        if lost(sys.stdout):
            return
    print(flush=True)


def _learned(run: Path, model: Model, moved_to: Path | None) -> Learned:
    """The run's own text, to look for copies of it."""
    state = state_of(run, "--novelty")
    otherwise = "--text FILE says where it lies"
    return learned(state.config, state.notes, model.vocabulary, otherwise, moved_to)


def _novelty(text: str, learned: Learned, display: Display) -> Novelty:
    def show(n_done: int, n_characters: int) -> None:
        display.working("looking for copies", f"{n_done / n_characters:.0%}")

    found = novelty(learned.vocabulary.encode(text), learned.ids, show if display.live else None)
    display.idle()
    return found


def _write_with_novelty(
    prompt: str, pieces: Iterable[str], learned: Learned, display: Display, name: str
) -> None:
    """Write a text, on a terminal as a whole with its copies underlined, and then say how much they are."""
    if sys.stdout.isatty():
        text = "".join(pieces)
        found = _novelty(text, learned, display)
        print_underlined(prompt + text, [False] * len(prompt) + found.copied().tolist())
    else:
        shown, kept = itertools.tee(pieces)
        _write(prompt, shown)
        if lost(sys.stdout):
            return
        text = "".join(kept)
        found = _novelty(text, learned, display)
    for line in sentences(found, text, learned, name):
        display.note(line)
