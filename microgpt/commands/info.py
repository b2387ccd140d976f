"""`microgpt info`: what a checkpoint holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from microgpt.checkpoint.saved import STATE_FILE, SavedModel, SavedState, load_model, read_description
from microgpt.commands.cell import cell
from microgpt.machine.budget import format_bytes
from microgpt.model.heads import format_layout
from microgpt.model.parameters import count, table
from microgpt.terminal.fitting import fitted
from microgpt.text.ngrams import mixture, ngram_name


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
            print(fitted(f"{name:<{width}}  {cell(value)}", width + 2))


def _learned_with(run: Path, saved: SavedModel) -> dict[str, Any]:
    """How a run learns, where its state is there: the rates are those that it has taken."""
    if run.is_dir() and (run / STATE_FILE).exists():
        saved = read_description(run / STATE_FILE)
    if not isinstance(saved, SavedState):
        return {}
    config = saved.config
    names = ("steps", "batch_size", "order", "init", "schedule")
    return {name: getattr(config, name) for name in names} | config.rates._asdict()
