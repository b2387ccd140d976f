"""How well models learn, not how fast: the figures of docs/learning.md.

    python benchmarks/learning.py TEXT layouts     every head layout at the headline size
    python benchmarks/learning.py TEXT starts      other initial values, for uniform heads and for ones
    python benchmarks/learning.py TEXT nanogpt     nanoGPT's example for a CPU, validation loss

Each figure is the average over three seeds, followed by the lowest and the highest.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from microgpt_kernels import load

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.model.parameters import FanIn, Init, Normal, fill, initial_blocks
from microgpt.model.placed import place
from microgpt.text.reading import Text, read_text
from microgpt.text.walk import split
from microgpt.training.trainer import Trainer, threads_for
from microgpt.use.evaluate import Evaluator

SEEDS = (1, 2, 3)
HEADLINE: dict[str, Any] = {"seq_len": 32, "steps": 3000}
NANOGPT: dict[str, Any] = {
    "batch_size": 12, "seq_len": 64, "d_model": 128, "n_layers": 4, "d_ff": 512, "heads": "4x32",
    "steps": 2000, "lr": 1e-3, "min_lr": 1e-4, "warmup": 100, "schedule": "cosine", "val_fraction": 0.1,
}  # fmt: skip

# keys are names of tensors; `*` means every matrix
STARTS: dict[str, dict[str, Init]] = {
    "as it is": {},
    "everything 0.02": {"*": Normal(0.02), "tok": Normal(0.02), "pos": Normal(0.02)},
    "matrices 0.02": {"*": Normal(0.02)},
    "embeddings 0.1": {"tok": Normal(0.1), "pos": Normal(0.1)},
    "embeddings 0.02": {"tok": Normal(0.02), "pos": Normal(0.02)},
    "proj with gain 1": {"proj_w": FanIn(1.0)},
    "proj with gain 0.2": {"proj_w": FanIn(0.2)},
    "down with gain 0.05": {"down_w": FanIn(0.05)},
    "head with gain 0.1": {"unembed_w": FanIn(0.1)},
}


def trainer(text: Text, seed: int, **options: Any) -> Trainer:
    config = TrainConfig(file=str(text.path), seed=seed, **options)
    k = load(config.backend)
    architecture = config.architecture(len(text.vocabulary))
    k.set_threads(threads_for(k, architecture, config))
    ids, _ = split(text.ids, config.val_fraction)
    return Trainer(place(k, architecture, Budget(None)), config, ids)


def start_from(made: Trainer, start: dict[str, Init]) -> None:
    """Set other initial values for some tensors."""
    tensors = [
        t._replace(init=start.get(t.name, start.get("*", t.init) if t.name.endswith("_w") else t.init))
        if not t.name.startswith("ln")
        else t
        for t in made.tensors
    ]
    fill(made.k, made.placed.param, initial_blocks(tensors, made.config.seed, made.placed.architecture.dtype))


def smoothed_loss(made: Trainer) -> float:
    """The training loss after all steps, smoothed 0.99 to 0.01."""
    smoothed = None
    while made.step < made.config.steps:
        for loss in made.advance(min(1000, made.config.steps - made.step)).loss.tolist():
            smoothed = loss if smoothed is None else 0.99 * smoothed + 0.01 * loss
    assert smoothed is not None
    return smoothed


def validation_loss(made: Trainer, text: Text) -> float:
    smoothed_loss(made)
    _, held_out = split(text.ids, made.config.val_fraction)
    return Evaluator(made.placed, held_out).score().nats


def show(name: str, losses: list[float]) -> None:
    print(f"{name:<40} {np.mean(losses):.4f}   {min(losses):.4f} to {max(losses):.4f}", flush=True)


def main() -> None:
    text, what = read_text(Path(sys.argv[1])), sys.argv[2]
    if what == "layouts":
        for heads in HEAD_LAYOUTS:
            show(heads, [smoothed_loss(trainer(text, seed, heads=heads, **HEADLINE)) for seed in SEEDS])
    elif what == "starts":
        for name, start in STARTS.items():
            for heads in ("uniform", "ones"):
                losses = []
                for seed in SEEDS:
                    made = trainer(text, seed, heads=heads, **HEADLINE)
                    start_from(made, start)
                    losses.append(smoothed_loss(made))
                show(f"{name}, {heads}", losses)
    elif what == "nanogpt":
        for changed in ({}, {"order": "shuffled"}):
            name = ", ".join(f"{key} {value}" for key, value in changed.items()) or "as it is"
            show(
                name, [validation_loss(trainer(text, seed, **{**NANOGPT, **changed}), text) for seed in SEEDS]
            )
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
