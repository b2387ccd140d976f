"""What the smaller commands do: generate, eval, info, backends, corpus."""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import microgpt_kernels

from microgpt import checkpoint
from microgpt import corpus as corpora
from microgpt.checkpoint import SavedModel
from microgpt.errors import MicrogptError, UsageError
from microgpt.heads import format_layout
from microgpt.machine import announced, load_backend
from microgpt.parameters import Parameters, count, table
from microgpt.report import Display
from microgpt.workspace import Budget, Constants, place


def _open(run: Path, backend: str, budget: Budget) -> tuple[SavedModel, ModuleType, Parameters, Constants]:
    """A saved model with its arrays on a backend."""
    saved = checkpoint.load_model(run)
    k = load_backend(backend)
    k.set_threads(1)
    buffer, p, c = place(k, budget, saved.config)
    saved.read_into(k, {"": buffer})
    return saved, k, p, c


def read_prompt(path: Path) -> str:
    """A prompt from a file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MicrogptError(f"{path} is not UTF-8 at byte {error.start}") from None


def generate(run: Path, prompt: str, length: int, *, backend: str, as_json: bool, **sampling: Any) -> None:
    """Stream `length` characters after the prompt to standard output."""
    from microgpt.generate import Generator, Sampling, encode_prompt

    try:
        chosen = Sampling(**sampling)
    except MicrogptError as error:
        raise UsageError(str(error)) from None
    budget = Budget(None)
    saved, k, p, c = _open(run, backend, budget)
    ids = encode_prompt(saved.vocabulary, prompt)
    generator = Generator(k, saved.config, p, c, budget)
    pieces = []
    with announced(Display(), "compiling the generator; later starts skip this"):
        stream = generator.stream(ids, length, chosen)
        first = list(itertools.islice(stream, 1))
    begin = time.perf_counter()
    if not as_json:
        sys.stdout.write(prompt)
    for piece in itertools.chain(first, stream):
        text = saved.vocabulary.decode(piece)
        pieces.append(text)
        if not as_json:
            sys.stdout.write(text)
            sys.stdout.flush()
    seconds = time.perf_counter() - begin
    if as_json:
        text = "".join(pieces)
        print(json.dumps({"prompt": prompt, "text": text, "characters": len(text), "seconds": seconds}))
    else:
        sys.stdout.write("\n")


def evaluate(run: Path, file: Path, *, backend: str, as_json: bool) -> None:
    """The loss over the whole file."""
    from microgpt.evaluate import Evaluator
    from microgpt.text import encode_file

    budget = Budget(None)
    saved, k, p, c = _open(run, backend, budget)
    text = encode_file(file, saved.vocabulary)
    with announced(Display(), "compiling the model, then reading the text"):
        score = Evaluator(k, saved.config, p, c, budget, text.ids).score()
    if as_json:
        figures = {
            "file": str(file),
            "characters": score.characters,
            "nats_per_character": score.nats,
            "bits_per_character": score.bits,
            "perplexity": score.perplexity,
        }
        print(json.dumps(figures))
    else:
        print(
            f"{file}: {score.nats:.4f} nats/char, {score.bits:.4f} bits/char, "
            f"perplexity {score.perplexity:.3f} over {score.characters:,} characters"
        )
        known = corpora.known_entropy(text.sha256)
        if known is not None:
            print(f"the entropy of this text's own source is {known:.4f} nats/char: no model can do better")


def info(run: Path, *, as_json: bool) -> None:
    """What a checkpoint holds."""
    saved = checkpoint.load_model(run)
    config = saved.config
    facts = {
        "parameters": count(table(config.sizes)),
        "vocabulary": saved.vocabulary.characters,
        "heads": format_layout(config.heads),
        "d_model": config.d_model,
        "n_layers": config.n_layers,
        "d_ff": config.d_ff,
        "seq_len": config.seq_len,
        "positions": config.positions,
        "dtype": config.dtype,
        **saved.notes,
    }
    if as_json:
        print(json.dumps(facts))
        return
    facts["vocabulary"] = f"{len(saved.vocabulary)} characters: {saved.vocabulary.characters!r}"
    width = max(map(len, facts))
    for name, value in facts.items():
        if value is not None:
            print(f"{name:<{width}}  {value}")


def backends(*, as_json: bool) -> None:
    """Which backends can run here."""
    rows = [microgpt_kernels.status(name) for name in microgpt_kernels.BACKENDS]
    width = max(map(len, microgpt_kernels.BACKENDS))
    for row in rows:
        if as_json:
            print(json.dumps(row._asdict()))
        else:
            print(f"{row.name:<{width}}  {'yes' if row.usable else 'no':<3}  {row.detail}")


def corpus(name: str, out: Path, *, as_json: bool) -> None:
    """Write a text."""
    if name == "tales":
        corpora.write_tales(out)
    elif name == "shakespeare":
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress

        console = Console(stderr=True)
        with Progress(
            *Progress.get_default_columns(),
            DownloadColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as progress:
            task = progress.add_task("shakespeare", total=None)
            corpora.download_shakespeare(
                out, lambda done, total: progress.update(task, completed=done, total=total)
            )
    else:
        raise UsageError(f"there is no corpus {name!r}; there are tales and shakespeare")
    if as_json:
        print(json.dumps({"corpus": name, "file": str(out), "bytes": out.stat().st_size}))
    else:
        print(f"{out}: {out.stat().st_size:,} bytes; next: microgpt train {out}", file=sys.stderr)
