"""What the smaller commands do: generate, eval, export, info, runs, backends, corpus."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import microgpt_kernels

from microgpt.checkpoint.saved import (
    BEST_FILE,
    MODEL_FILE,
    STATE_FILE,
    SavedModel,
    SavedState,
    load_model,
    read_description,
)
from microgpt.console import Display
from microgpt.corpora import corpus as corpora
from microgpt.errors import MicrogptError, UsageError, shown, shown_path
from microgpt.files import write_atomically
from microgpt.machine.budget import format_bytes
from microgpt.model.heads import format_layout
from microgpt.model.parameters import count, table
from microgpt.terminal.fitting import fitted, fitting_columns
from microgpt.terminal.harmless import harmless, harmless_pieces
from microgpt.terminal.invocation import pasteable
from microgpt.terminal.streams import lost
from microgpt.text.ngrams import mixture, ngram_name
from microgpt.text.opening import STANDARD_INPUT
from microgpt.text.prompt import read_prompt

if TYPE_CHECKING:
    from microgpt.api.model import Model
    from microgpt.text.reading import Text
    from microgpt.use.evaluate import Score
    from microgpt.use.ladder import Parts, Rung

PAGE_FILE = "page.html"  # of a run


def _open(run: Path, backend: str, display: Display, *, last: bool) -> Model:
    """The model of a run. Says which weights these are, if they are not the last ones."""
    from microgpt.api.model import Model

    return Model(_read(run, display, last=last), backend, display)


def _read(run: Path, display: Display, *, last: bool) -> SavedModel:
    """What a run's file says of its model; says likewise which weights these are."""
    saved = load_model(run, last=last)
    if run.is_dir() and saved.path.name == BEST_FILE:
        step, newest = saved.notes.get("step"), None
        if (run / MODEL_FILE).exists():
            newest = read_description(run / MODEL_FILE).notes.get("step")
        if newest not in (None, step):
            display.note(
                f"these are the weights of step {step}, the best of the validation; "
                f"--last takes those of step {newest}"
            )
    return saved


def generate(
    run: Path,
    prompt: str,
    prompt_file: Path | None,
    length: int,
    num_samples: int,
    stop: str,
    *,
    last: bool,
    backend: str,
    as_json: bool,
    seed: int,
    **sampling: Any,
) -> None:
    """Stream `length` characters after the prompt to standard output, or as many as come before `stop`.

    Sample i has the seed `seed + i`, so that each of them can be written alone.
    """
    from microgpt.use.generate import Sampling

    try:
        Sampling(seed=seed, **sampling)
    except MicrogptError as error:
        raise UsageError(str(error)) from None
    model = _open(run, backend, Display(), last=last)
    if prompt_file is not None or prompt == "-":
        prompt = read_prompt(prompt_file or STANDARD_INPUT)
    for i in range(seed, seed + num_samples):
        pieces = model.stream(prompt, length, seed=i, stop=stop, **sampling)
        begin = time.perf_counter()
        if as_json:
            text = "".join(pieces)
            seconds = time.perf_counter() - begin
            figures = {"seed": i, "prompt": prompt, "text": text, "characters": len(text)}
            print(json.dumps({**figures, "seconds": seconds}), flush=True)
            continue
        if num_samples > 1:
            print(f"--- seed {i}")
        shown = itertools.chain([prompt], pieces)
        for piece in harmless_pieces(shown) if sys.stdout.isatty() else shown:
            print(piece, end="", flush=True)
            if lost(sys.stdout):
                return
        print(flush=True)


def evaluate(
    run: Path, file: Path, *, skip_unknown: bool, ladder: bool, last: bool, backend: str, as_json: bool
) -> None:
    """The loss over the whole file; with `ladder`, over the part that `parts` judges, and its rungs."""
    from microgpt.text.opening import text_name
    from microgpt.text.reading import encode_file

    display = Display()
    model = _open(run, backend, display, last=last)
    text = encode_file(file, model.vocabulary, skip_unknown=skip_unknown)
    parts, name = None, text_name(file)
    if ladder:
        from microgpt.use.ladder import parts as parts_of

        parts = parts_of(run, text)
        text, name = dataclasses.replace(text, ids=parts.judged), parts.name

    def show(n_done: int, n_characters: int) -> None:
        display.working("reading the text", f"{n_done / n_characters:.0%}")

    before = ""
    if model.ngrams is not None and parts is not None and parts.before is not None:
        before = model.vocabulary.decode(parts.before[-model.ngrams.order :])
    score = model.score(text, before=before, progress=show if display.live else None)
    display.idle()
    known = None if text.n_skipped else corpora.known_entropy(text.sha256)
    rungs = [] if parts is None else _rungs(parts, model, text, score, known, display)
    if as_json:
        figures = {
            "file": text_name(file),
            "characters": score.characters,
            "skipped": text.n_skipped,
            **_figures(score),
        }
        if parts is not None:
            figures |= {
                "part": parts.name,
                "trained_on_it": parts.seen,
                "learned_from": parts.of_learned,
                "ladder": [{"name": rung.name, **_figures(rung.score)} for rung in rungs],
            }
        print(json.dumps(figures))
        return
    skipped = f", {text.n_skipped:,} unknown ones left out" if text.n_skipped else ""
    print(
        f"{name}: {score.nats:.4f} nats/char, {score.bits:.4f} bits/char, "
        f"perplexity {score.perplexity:.3f} over {score.characters:,} characters{skipped}"
    )
    if parts is None and text.sha256 == model.notes.get("text_sha256"):
        display.note(
            "the model was trained on this text, and predicts it better than others; "
            "--ladder judges the part that was held out"
        )
    if parts is not None:
        _print_ladder(parts, rungs)
    elif known is not None:
        print(f"the entropy of this text's own source is {known:.4f} nats/char: no model can do better")


def _figures(score: Score) -> dict[str, Any]:
    return {
        "nats_per_character": score.nats,
        "bits_per_character": score.bits,
        "perplexity": score.perplexity if math.isfinite(score.perplexity) else None,  # JSON has no infinity
    }


def _rungs(
    parts: Parts, model: Model, text: Text, score: Score, known: float | None, display: Display
) -> list[Rung]:
    """The whole ladder, with the model's own rungs, from the highest loss to the lowest."""
    from microgpt.use.evaluate import Score
    from microgpt.use.ladder import Rung, rungs

    def show(what: str, done: float) -> None:
        if display.live:
            display.working(what, f"{done:.0%}")

    found = rungs(parts, model.vocabulary, show)
    display.idle()
    found.append(Rung("this model", score))
    if model.ngrams is not None:
        found.append(Rung("its network alone", model.network.score(text)))
    if known is not None:
        found.append(Rung("entropy of its source", Score(known, score.characters)))
    return sorted(found, key=lambda rung: -rung.score.nats)


def _print_ladder(parts: Parts, rungs: list[Rung]) -> None:
    width = max(len(rung.name) for rung in rungs)
    print(f"\n{'':<{width}}  nats/char  bits/char  perplexity")
    for rung in rungs:
        score = rung.score
        print(f"{rung.name:<{width}}  {score.nats:9.4f}  {score.bits:9.4f}  {score.perplexity:10.3f}")
    notes = [
        "The n-gram models (interpolated Kneser-Ney) and the compressors learn from "
        f"{parts.of_learned}, as this model did."
    ]
    if parts.seen:
        notes.append(
            "The run held nothing out: this model has also been trained on the characters that it predicts "
            "here, and the others have not. --val-fraction 0.1 would hold a tenth of the text out."
        )
    print("\n" + "\n".join(fitted(note, 0) for note in notes))


def export(what: str, run: Path, out: Path | None, *, last: bool, large: bool, as_json: bool) -> None:
    """Write a run's model as something else than a checkpoint."""
    if what != "page":
        raise UsageError(f"a model can be exported as a page, not as {shown(what)}")
    from microgpt.page.play import play_page

    display = Display()
    saved = _read(run, display, last=last)
    name = run.resolve().name if run.is_dir() else run.stem
    content = play_page(saved, name, large=large).encode()
    out = out or (run if run.is_dir() else run.parent) / PAGE_FILE
    write_atomically(out, content)
    if as_json:
        print(json.dumps({"page": str(out), "bytes": len(content)}))
    else:
        display.note(
            f"{shown_path(out)}: {format_bytes(len(content))}; open it in any browser, also without a network"
        )


def info(run: Path, *, as_json: bool) -> None:
    """What a checkpoint holds."""
    saved = load_model(run)
    architecture = saved.architecture
    facts = {
        "file": str(saved.path),
        "parameters": count(table(architecture.sizes)),
        "vocabulary": saved.vocabulary.characters,
        "heads": format_layout(architecture.heads),
        "d_model": architecture.d_model,
        "n_layers": architecture.n_layers,
        "d_ff": architecture.d_ff,
        "seq_len": architecture.seq_len,
        "positions": architecture.positions,
        "activation": architecture.activation,
        "token_shift": architecture.token_shift,
        "attention_scale": architecture.attention_scale,
        "dtype": architecture.dtype,
        "ngrams": None,
        **saved.notes,
        **_learned_with(run, saved),
    }
    if (ngrams := saved.ngrams) is not None:
        facts["ngrams"] = {
            "order": ngrams.order,
            "weight": saved.ngram_weight,
            "different": ngrams.n_grams,
            "bytes": ngrams.n_bytes,
        }
    if as_json:
        print(json.dumps(facts))
        return
    facts["vocabulary"] = f"{len(saved.vocabulary)} characters: {saved.vocabulary.characters!r}"
    if ngrams is not None:
        facts["ngrams"] = (
            f"{ngrams.n_grams:,} different {ngram_name(ngrams.order)}s, "
            f"with all shorter ones {format_bytes(ngrams.n_bytes)}; "
            + mixture(ngrams.order, saved.ngram_weight)
        )
    width = max(map(len, facts))
    for name, value in facts.items():
        if value is not None:
            print(fitted(f"{name:<{width}}  {_cell(value)}", width + 2))


def _learned_with(run: Path, saved: SavedModel) -> dict[str, Any]:
    """How a run learns, where its state is there: the rates are those that it has taken."""
    if run.is_dir() and (run / STATE_FILE).exists():
        saved = read_description(run / STATE_FILE)
    if not isinstance(saved, SavedState):
        return {}
    config = saved.config
    names = ("steps", "batch_size", "order", "init", "schedule")
    return {name: getattr(config, name) for name in names} | config.rates._asdict()


def runs(directory: Path, *, as_json: bool) -> None:
    """A table of the runs below a directory, the latest last."""
    rows = []
    for file in directory.rglob(STATE_FILE):
        try:
            saved = read_description(file)
            if isinstance(saved, SavedState):
                rows.append(_row(saved))
        except MicrogptError as error:
            print(f"microgpt: {error}", file=sys.stderr)
    if not rows and not as_json:
        raise MicrogptError(f"there are no runs below {directory}; microgpt train FILE makes one")
    rows.sort(key=lambda row: str(row["saved"]))
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    header = {name: name.replace("_", " ") for name in rows[0]}
    table = [header, *({name: _cell(value) for name, value in row.items()} for row in rows)]
    widths = {name: max(len(cells[name]) for cells in table) for name in header}
    names = fitting_columns(widths, LEAST, gap=2)
    for cells in table:
        print("  ".join(f"{cells[name]:<{widths[name]}}" for name in names).rstrip())


# The columns that are left out, in this order, where a terminal is too narrow.
LEAST = ("parameters", "at_step", "heads", "text", "best", "saved", "val_loss")


def _row(saved: SavedState) -> dict[str, Any]:
    progress = saved.progress
    modified = ""
    with contextlib.suppress(OSError, ValueError, OverflowError):  # a year that no calendar has
        modified = datetime.fromtimestamp(saved.path.stat().st_mtime).astimezone().isoformat(" ", "minutes")
    return {
        "run": str(saved.path.parent),
        "text": saved.config.file,
        "heads": saved.config.heads,
        "parameters": count(table(saved.architecture.sizes)),
        "step": saved.step,
        "steps": saved.config.steps,
        "loss": progress.smoothed_loss(saved.step),
        "val_loss": progress.val_loss,
        "best": progress.best_val_loss,
        "at_step": progress.best_step,
        "saved": modified,
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else harmless(str(value))


def backends(*, as_json: bool) -> None:
    """Which backends can run here."""
    display = Display()
    width = max(map(len, microgpt_kernels.BACKENDS))
    for name in microgpt_kernels.BACKENDS:
        if display.live:
            display.working("trying the backends", name)
        row = microgpt_kernels.status(name)
        display.idle()
        if as_json:
            print(json.dumps(row._asdict()))
        else:
            line = f"{row.name:<{width}}  {'yes' if row.usable else 'no':<3}  {row.detail}"
            print(fitted(line, width + len("  yes  ")))


def corpus(name: str, out: Path, *, as_json: bool) -> None:
    """Write a text."""
    if name == "tales":
        n_bytes = corpora.write_tales(out)
    elif name in corpora.PUZZLES_SHA256:
        n_bytes = corpora.write_puzzles(name, out)
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
            n_bytes = corpora.download_shakespeare(
                out, lambda done, total: progress.update(task, completed=done, total=total)
            )
    else:
        names = ", ".join(["tales", *corpora.PUZZLES_SHA256])
        raise UsageError(f"there is no corpus {shown(name)}; there are {names} and shakespeare")
    if corpora.is_standard_output(out):
        return
    if as_json:
        print(json.dumps({"corpus": name, "file": str(out), "bytes": n_bytes}))
    else:
        print(f"{out}: {n_bytes:,} bytes; next: {pasteable('train', out)}", file=sys.stderr)
