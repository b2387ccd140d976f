"""`microgpt eval`: the loss over a text, alone or beside that of simpler ways of prediction."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt.commands.model import open_model
from microgpt.console import Display
from microgpt.corpora import corpus
from microgpt.terminal.fitting import fitted
from microgpt.text.opening import text_name
from microgpt.text.reading import Text, encode_file

if TYPE_CHECKING:
    from microgpt.api.model import Model
    from microgpt.use.evaluate import Score
    from microgpt.use.ladder import Parts, Rung


def evaluate(
    run: Path, file: Path, *, skip_unknown: bool, ladder: bool, last: bool, backend: str, as_json: bool
) -> None:
    """The loss over the whole file; with `ladder`, over the part that `parts` judges, and its rungs."""
    display = Display()
    model = open_model(run, backend, display, last=last)
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
    known = None if text.n_skipped else corpus.known_entropy(text.sha256)
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
