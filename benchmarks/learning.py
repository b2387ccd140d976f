"""How well models learn, not how fast: the figures of docs/learning.md.

    python benchmarks/learning.py TEXT STUDY

    layouts     every head layout at the headline size
    starts      other initial values, for uniform heads and for ones
    nanogpt     nanoGPT's example for a CPU, validation loss
    defaults    what each of the default options gives, and what did not pay
    rates       half the learning rate of the rule, all of it, and twice it
    minute      what is new in a model of the size that a minute is enough for, and what might be
    often       a text of 100,000 characters, read often: weight decay, epochs and sizes

Each figure of the first three, which are of the recipe `plain`, is the average over three seeds, followed by
the lowest and the highest. Each of the others is the average over five seeds, with a 95% confidence
interval: the loss over the last tenth of the text, which was held out, and the smoothed loss of the training.
For the last two the loss of the network together with 6-grams stands between these.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
from microgpt_kernels import load

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.model.parameters import Constant, FanIn, Init, Normal, fill, initial_blocks, initially
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.text.ngrams import NGrams, fit
from microgpt.text.reading import Text, read_text
from microgpt.text.walk import split
from microgpt.training.trainer import Trainer, threads_for
from microgpt.use.evaluate import Evaluator, FittedScore

SEEDS = (1, 2, 3)
MORE_SEEDS = (1, 2, 3, 4, 5)
STUDENT_T = 2.776  # of five values, for 95%
HEADLINE: dict[str, Any] = RECIPES["plain"] | {"seq_len": 32, "steps": 3000}
NANOGPT: dict[str, Any] = RECIPES["plain"] | {
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

# The defaults, but for the squared rectifier and the shift in time: most figures were measured before these.
EARLIER: dict[str, Any] = {"activation": "relu", "token_shift": False}
# Changes of the options of a small run, one after the other, from the plain recipe to the defaults
ONE_BY_ONE: dict[str, dict[str, Any]] = {
    "plain": {},
    "and positions rope": {"positions": "rope"},
    "and the rate of the rule": {"lr": None},
    "and schedule linear": {"schedule": "linear"},
    "and a warm-up": {"warmup": None},
    "and beta2 0.99": {"beta2": None},
    "and init large": {"init": "large"},
    "and order shuffled": {"order": "shuffled"},
    "and activation relu2": {"activation": "relu2"},
    "and token shift": {"token_shift": True},
}
# Changes of the earlier defaults, each alone
CHANGES: dict[str, dict[str, Any]] = {
    "the earlier defaults": {},
    "activation relu2": {"activation": "relu2"},
    "token shift": {"token_shift": True},
    "positions learned": {"positions": "learned"},
    "init small": {"init": "small"},
    "order sequential": {"order": "sequential"},
    "schedule constant": {"schedule": "constant"},
    "schedule cosine, to 0": {"schedule": "cosine", "min_lr": 0.0},
    "schedule cosine, to a tenth": {"schedule": "cosine"},
    "no warm-up": {"warmup": 0},
    "warm-up 300": {"warmup": 300},
    "beta2 0.95": {"beta2": 0.95},
    "beta2 0.999": {"beta2": 0.999},
    "beta2 0.9999": {"beta2": 0.9999},
    "no clipping": {"clip": 0.0},
}
# Other initial values, beside the earlier defaults
BEGINNINGS: dict[str, dict[str, Init]] = {
    "embeddings 0.1": {"tok": Normal(0.1)},
    "embeddings 0.2": {"tok": Normal(0.2)},
    "embeddings 1": {"tok": Normal(1.0)},
    "proj 0": {"proj_w": Constant(0)},
    "down 0": {"down_w": Constant(0)},
    "proj and down 0": {"proj_w": Constant(0), "down_w": Constant(0)},
    "proj with gain 0.5": {"proj_w": FanIn(0.5)},
    "qkv with gain 0.5": {"qkv_w": FanIn(0.5)},
    "head with gain 0.3": {"unembed_w": FanIn(0.3)},
    "head 0": {"unembed_w": Constant(0)},
}
SHORT: dict[str, Any] = EARLIER | {
    "seq_len": 32, "batch_size": 1, "steps": 3000, "val_fraction": 0.1, "threads": 1,
}  # fmt: skip
# what makes the rate of the rule another one, and what might
SIZES: dict[str, dict[str, Any]] = {
    "batch 1, 1,000 steps": {"steps": 1000},
    "batch 1, 10,000 steps": {"steps": 10_000},
    "batch 1, 10,000 steps, d_model 32": {"steps": 10_000, "d_model": 32},
    "batch 1, 3,000 steps, d_model 128": {"steps": 3000, "d_model": 128},
    "batch 1, 3,000 steps, d_model 192": {"steps": 3000, "d_model": 192},
    "batch 8, 1,000 steps": {"steps": 1000, "batch_size": 8},
    "batch 64, 300 steps": {"steps": 300, "batch_size": 64},
}


# A model that --minutes chooses for tinyshakespeare where a core does 300 GFLOP/s, with fewer steps
MINUTE: dict[str, Any] = {
    "seq_len": 128, "d_model": 64, "n_layers": 4, "d_ff": 256, "steps": 2000, "weight_decay": 0.2,
    "val_fraction": 0.1,
}  # fmt: skip
MINUTE_RATE = TrainConfig(file="", **MINUTE).rates.lr
MINUTE_CHANGES: dict[str, dict[str, Any]] = {
    "relu, without the shift": EARLIER,
    "without the shift": {"token_shift": False},
    "relu": {"activation": "relu"},
    "as it is": {},
    "half the rate": {"lr": 0.5 * MINUTE_RATE},
    "twice the rate": {"lr": 2 * MINUTE_RATE},
}
# The same with the decay of the rule in training/plan.py
OFTEN: dict[str, Any] = MINUTE | {"steps": 1406, "weight_decay": 2.1}
OFTEN_CHANGES: dict[str, dict[str, Any]] = {
    "16 epochs": {},
    "a quarter of the decay": {"weight_decay": 0.53},
    "half the decay": {"weight_decay": 1.1},
    "twice the decay": {"weight_decay": 4.2},
    "8 epochs": {"steps": 703},
    "32 epochs": {"steps": 2812},
    "16 epochs of d_model 96": {"d_model": 96, "d_ff": 384, "weight_decay": 3.2},
    "16 epochs of d_model 128": {"d_model": 128, "d_ff": 512, "weight_decay": 4.3},
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
        t._replace(init=start.get(t.name, start.get("*", t.init) if t.is_matrix else t.init))
        for t in initially(made.tensors, made.config.init)
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
    return held_out_loss(made, text)


def held_out_loss(made: Trainer, text: Text) -> float:
    _, held_out = split(text.ids, made.config.val_fraction)
    return Evaluator(made.placed, held_out).score().nats


def fitted_score(made: Trainer, text: Text, ngrams: NGrams) -> FittedScore:
    """The loss of the held-out text, of the network and n-grams together and of each."""
    train, held_out = split(text.ids, made.config.val_fraction)
    placed = dataclasses.replace(made.placed, ngrams=ngrams)
    score = Evaluator(placed, held_out, train).fit(None, lambda: False)
    assert score is not None
    return score


def show(name: str, losses: list[float]) -> None:
    print(f"{name:<40} {np.mean(losses):.4f}   {min(losses):.4f} to {max(losses):.4f}", flush=True)


def tell(
    name: str,
    text: Text,
    options: dict[str, Any],
    start: dict[str, Init] | None = None,
    ngrams: NGrams | None = None,
) -> None:
    """A row: validation and training loss over the seeds, with half the width of the 95% interval."""
    found: dict[str, list[float]] = {"": [], "with 6-grams ": [], "training ": []}
    for seed in MORE_SEEDS:
        made = trainer(text, seed, **options)
        start_from(made, start or {})
        found["training "].append(smoothed_loss(made))
        if ngrams is None:
            found[""].append(held_out_loss(made, text))
        else:
            score = fitted_score(made, text, ngrams)
            found[""].append(score.network.nats)
            found["with 6-grams "].append(score.nats)
    cells = (
        f"{what}{np.mean(losses):.4f} +- {STUDENT_T * np.std(losses, ddof=1) / len(losses) ** 0.5:.4f}"
        for what, losses in found.items()
        if losses
    )
    print(f"{name:<40} {'   '.join(cells)}", flush=True)


def main() -> None:
    text, what = read_text(Path(sys.argv[1])), sys.argv[2]
    if what == "layouts":
        for heads in HEAD_LAYOUTS:
            show(heads, [smoothed_loss(trainer(text, seed, heads=heads, **HEADLINE)) for seed in SEEDS])
    elif what == "defaults":
        options = RECIPES["plain"] | SHORT
        for name, change in ONE_BY_ONE.items():
            options |= change
            tell(name, text, options)
        for name, change in CHANGES.items():
            tell(name, text, SHORT | change)
        for name, start in BEGINNINGS.items():
            tell(name, text, SHORT, start)
        tell("1,000 steps of the plain recipe", text, RECIPES["plain"] | {"val_fraction": 0.1})
        tell("1,000 steps of the earlier defaults", text, EARLIER | {"val_fraction": 0.1})
        tell("1,000 steps of the defaults", text, {"val_fraction": 0.1})
    elif what in ("minute", "often"):
        options, changes = (MINUTE, MINUTE_CHANGES) if what == "minute" else (OFTEN, OFTEN_CHANGES)
        ids, _ = split(text.ids, options["val_fraction"])
        ngrams = fit(ids, len(text.vocabulary), 6)
        for name, change in changes.items():
            tell(name, text, options | change, ngrams=ngrams)
    elif what == "rates":
        for name, sizes in SIZES.items():
            options = SHORT | sizes
            rate = TrainConfig(file="", **options).rates.lr
            for times in (0.5, 1, 2):
                tell(f"{name}: {times * rate:.2g}", text, options | {"lr": times * rate})
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
