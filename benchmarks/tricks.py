"""What was tried to make a model learn more in a minute: the tricks of docs/learning.md, in PyTorch.

    python -m benchmarks.tricks TEXT TRICK[,TRICK...] ... [--size small|main] [--seeds 2] [--steps N]

    none                 the model as it is, with the squared rectifier and without the shift in time
    relu                 the rectifier, not its square (that is of So et al. 2021, arXiv 2109.08668)
    shift                of what attention and the MLP read, half of the columns are those of the position
                         before, as in microgpt (after RWKV, Peng et al. 2023, arXiv 2305.13048)
    shift-quarter        a quarter of the columns
    shift-learned        for each column a learned part of the position before, 0 at first, as in RWKV
    shift-learned-half   the same from 1/2 on
    shift-learned-mlp    the same from 0 on, only of what the MLP reads
    conv                 of what both read, a causal convolution of 4 taps for each column is added
                         (Canon layers, Allen-Zhu 2025, arXiv 2512.17351)
    conv-attention       only of what attention reads
    smear                to each embedding a learned part of the one before is added
                         (github.com/KellerJordan/modded-nanogpt/pull/130, there with a gate)
    bigrams              to each embedding that of the pair of characters which ends there is added
                         (github.com/KellerJordan/modded-nanogpt/pull/201, there hashed and in every layer)
    embedding-shortcut   each layer but the first reads a mixture of the stream and the embeddings
                         (github.com/KellerJordan/modded-nanogpt)
    value-residual       attention's values are mixed with those of the first layer
                         (Zhou et al. 2024, arXiv 2410.17897)
    value-embeddings     each layer has embeddings that are added to attention's values
                         (github.com/KellerJordan/modded-nanogpt, the record of December 4, 2024)
    qk-norm              queries and keys have a root mean square of 1, times learned gains
                         (Henry et al. 2020, arXiv 2010.04245, with another norm)
    softcap              logits stay between -30 and 30 (Gemma 2, arXiv 2408.00118)
    muon                 Muon instead of Adam for the matrices of the layers (Jordan et al. 2024,
                         kellerjordan.github.io/posts/muon), its steps as long as Adam's usually are
                         (Liu et al. 2025, arXiv 2502.16982)
    muon-half, -double   its steps half, or twice as long

Each argument after the text is a run: the tricks that are tried together. But for them it is `microgpt train
--no-token-shift --weight-decay 0.1 --val-fraction 0.1`, from the same initial values and with the same
batches; autograd has the gradients, so that a trick is a few lines. The loss is that of the last tenth of the
text, of the network alone and together with 6-grams at the weight that predicts this tenth best.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from microgpt_kernels import reference

from microgpt.arrays import Array, IdArray
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, UsageError, shown
from microgpt.model.parameters import initial, initially, table
from microgpt.text.ngrams import fit
from microgpt.text.reading import read_text
from microgpt.text.walk import Walk, shuffle_order, split
from microgpt.training.trainer import BETA1, EPS
from microgpt.use.interpolation import fitted_weight, interpolated

try:
    import torch
    from torch.nn import functional
    from torch.nn.utils import clip_grads_with_norm_, get_total_norm

    from .peers import pytorch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    sys.exit("tricks: PyTorch is not installed: pip install 'microgpt-numba[oracle]'")

COMMON: dict[str, Any] = {
    "batch_size": 8, "seq_len": 128, "activation": "relu2", "token_shift": False, "weight_decay": 0.1,
    "val_fraction": 0.1,
}  # fmt: skip
SIZES: dict[str, dict[str, Any]] = {
    "small": {"d_model": 64, "n_layers": 3, "d_ff": 256, "steps": 1500},
    "main": {"d_model": 80, "n_layers": 4, "d_ff": 320, "steps": 4700},
}

# the fixed shifts: one column in so many; the learned ones: what they begin with, and where
SHIFTS = {"shift": 2, "shift-quarter": 4}
LEARNED_SHIFTS = {
    "shift-learned": (0.0, ("attention", "mlp")),
    "shift-learned-half": (0.5, ("attention", "mlp")),
    "shift-learned-mlp": (0.0, ("mlp",)),
}
CONVOLUTIONS = {"conv": ("attention", "mlp"), "conv-attention": ("attention",)}
TAPS = 4
MUONS = {"muon": 1.0, "muon-half": 0.5, "muon-double": 2.0}
OTHERS = {
    "none", "relu", "smear", "bigrams", "embedding-shortcut", "value-residual", "value-embeddings", "qk-norm",
    "softcap",
}  # fmt: skip
TRICKS = OTHERS | SHIFTS.keys() | LEARNED_SHIFTS.keys() | CONVOLUTIONS.keys() | MUONS.keys()
NGRAM_ORDER = 6
IN_LAYERS = ("qkv_w", "proj_w", "up_w", "down_w")
SOFTCAP = 30.0
QK_EPS = 1e-6
MOMENTUM = 0.95  # Muon's


def added(tricks: set[str], V: int, C: int, L: int) -> dict[str, torch.Tensor]:
    """The parameters that the tricks add."""
    more = {}
    if "smear" in tricks:
        more["smear"] = torch.zeros(C)
    if "bigrams" in tricks:
        more["bigrams"] = torch.zeros((V + 1) * V, C)
    if "embedding-shortcut" in tricks:
        more["shortcut"] = torch.tensor([1.0, 0.0]).repeat(L, 1)
    if "value-residual" in tricks:
        more["value_residual"] = torch.full((L, 2), 0.5)
    if "value-embeddings" in tricks:
        more["value_embeddings"] = torch.zeros(L, V, C)
    if "qk-norm" in tricks:
        more["qk_gains"] = torch.ones(L, 2, C)
    for trick in tricks & LEARNED_SHIFTS.keys():
        start, places = LEARNED_SHIFTS[trick]
        more |= {f"{place}_shift": torch.full((L, C), start) for place in places}
    for trick in tricks & CONVOLUTIONS.keys():
        more |= {f"{place}_conv": torch.zeros(L, TAPS, C) for place in CONVOLUTIONS[trick]}
    return more


def before(x: torch.Tensor, n: int = 1) -> torch.Tensor:
    """x (B, T, C) moved on by n positions, zeros first."""
    return functional.pad(x, (0, 0, n, 0))[:, : x.shape[1]]


def rotated(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Columns 2j and 2j + 1 of x (B, T, H, D) as a complex number, times turns (T, D/2)."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns[: x.shape[1], None]).flatten(-2)


class Model:
    """The network as it begins, with some of the TRICKS."""

    def __init__(self, config: TrainConfig, V: int, tricks: set[str]) -> None:
        self.tricks, self.V = tricks, V
        architecture = config.architecture(V)
        tensors = initially(table(architecture.sizes), config.init)
        self.p = pytorch.split(torch.from_numpy(initial(tensors, config.seed, np.float32)), tensors)
        self.more = added(tricks, V, config.d_model, config.n_layers)

        C, self.H = config.d_model, len(architecture.heads[0])
        speeds = 10000.0 ** (-torch.arange(0, C // self.H, 2, dtype=torch.float64) * self.H / C)
        angles = torch.outer(torch.arange(config.seq_len, dtype=torch.float64), speeds)
        self.turns = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)

        # Muon is for the first of these, weight decay for the first two
        self.in_layers = pytorch.leaves(getattr(self.p, name) for name in IN_LAYERS)
        self.head = [self.p.unembed_w]
        rest = (value for name, value in self.p._asdict().items() if name not in (*IN_LAYERS, "unembed_w"))
        self.undecayed = [*pytorch.leaves(rest), *self.more.values()]
        for weight in (*self.in_layers, *self.head, *self.undecayed):
            weight.requires_grad_()

    def read(self, x: torch.Tensor, l: int, place: str) -> torch.Tensor:
        """What attention or the MLP reads of a layer norm's output x (B, T, C)."""
        for trick in self.tricks & SHIFTS.keys():
            n = x.shape[-1] // SHIFTS[trick]
            x = torch.cat([before(x[..., :n]), x[..., n:]], -1)
        if f"{place}_shift" in self.more:
            x = x + self.more[f"{place}_shift"][l] * (before(x) - x)
        if f"{place}_conv" in self.more:
            x = x + sum(tap * before(x, n) for n, tap in enumerate(self.more[f"{place}_conv"][l]))
        return x

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, T, V) for inputs (B, T)."""
        p, more, (B, T), C, H = self.p, self.more, inputs.shape, self.p.tok.shape[1], self.H
        x = functional.embedding(inputs, p.tok)
        if "bigrams" in more:
            previous = functional.pad(inputs[:, :-1], (1, 0), value=self.V)  # V: nothing is before
            x = x + functional.embedding(previous * self.V + inputs, more["bigrams"])
        if "smear" in more:
            x = x + more["smear"] * before(x)

        embedded, values = x, []
        for l in range(len(p.qkv_w)):
            if "shortcut" in more and l > 0:
                x = more["shortcut"][l, 0] * x + more["shortcut"][l, 1] * embedded
            ln1 = functional.layer_norm(x, (C,), p.ln1_w[l], p.ln1_b[l])
            q, k, v = (self.read(ln1, l, "attention") @ p.qkv_w[l] + p.qkv_b[l]).split(C, -1)
            if "value_embeddings" in more:
                v = v + functional.embedding(inputs, more["value_embeddings"][l])
            values.append(v)
            if "value_residual" in more and l > 0:
                v = more["value_residual"][l, 0] * v + more["value_residual"][l, 1] * values[0]
            q, k, v = (part.reshape(B, T, H, C // H) for part in (q, k, v))
            if "qk_gains" in more:
                gains = more["qk_gains"][l].view(2, H, C // H)
                q, k = (functional.rms_norm(part, (C // H,), eps=QK_EPS) for part in (q, k))
                q, k = gains[0] * q, gains[1] * k
            q, k, v = (part.transpose(1, 2) for part in (rotated(q, self.turns), rotated(k, self.turns), v))
            heads = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + heads.transpose(1, 2).reshape(B, T, C) @ p.proj_w[l] + p.proj_b[l]

            ln2 = functional.layer_norm(x, (C,), p.ln2_w[l], p.ln2_b[l])
            hidden = functional.relu(self.read(ln2, l, "mlp") @ p.up_w[l] + p.up_b[l])
            x = x + (hidden if "relu" in self.tricks else hidden**2) @ p.down_w[l] + p.down_b[l]

        logits = functional.layer_norm(x, (C,), p.lnf_w, p.lnf_b) @ p.unembed_w + p.unembed_b
        return SOFTCAP * torch.tanh(logits / SOFTCAP) if "softcap" in self.tricks else logits

    def losses(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of each target (B, T); 0 for a target of -1, which means none."""
        logits = self.logits(inputs).transpose(1, 2)
        return functional.cross_entropy(logits, targets, ignore_index=-1, reduction="none")


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """About the matrix next to x whose singular values are all 1, by Muon's iteration."""
    if x.shape[0] > x.shape[1]:
        return orthogonal(x.mT).mT
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x


class Muon:
    """Steps along the orthogonal matrix next to the momentum, for the matrices of a model's layers."""

    def __init__(self, model: Model, times: float) -> None:
        p, C = model.p, model.p.tok.shape[1]
        # queries, keys and values are three maps
        self.parts = [(w, slice(low, low + C)) for w in p.qkv_w for low in (0, C, 2 * C)]
        self.parts += [(w, slice(None)) for w in (*p.proj_w, *p.up_w, *p.down_w)]
        self.momenta = [torch.zeros_like(w[:, columns]) for w, columns in self.parts]
        self.times = times

    @torch.no_grad()
    def step(self, rate: float, decay: float) -> None:
        for (weight, columns), momentum in zip(self.parts, self.momenta, strict=True):
            gradient, part = weight.grad[:, columns], weight[:, columns]
            momentum.lerp_(gradient, 1 - MOMENTUM)
            direction = orthogonal(gradient.lerp(momentum, MOMENTUM))  # as Nesterov has it
            # a root mean square of 0.2, which is about that of Adam's
            length = 0.2 * math.sqrt(max(direction.shape)) * self.times
            part.sub_(rate * (length * direction + decay * part))


def batches(config: TrainConfig, ids: IdArray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and targets (B, T) of every step."""
    B, T = config.batch_size, config.seq_len
    walk = Walk(len(ids), T, T, B)
    order = np.empty(walk.n_chunks, np.int64)
    for step in range(config.steps):
        if step % walk.steps_per_epoch == 0:
            shuffle_order(order, config.seed, step // walk.steps_per_epoch)
        inputs, targets = np.empty((2, B, T), np.int64)
        reference.batch_fill(inputs, targets, np.zeros(1), ids, order, np.array([step, 0]), T)
        yield torch.from_numpy(inputs), torch.from_numpy(targets)


def train(model: Model, config: TrainConfig, ids: IdArray) -> Iterator[float]:
    """Train it step by step, and yield the loss of each step."""
    muon = [Muon(model, MUONS[trick]) for trick in model.tricks & MUONS.keys()]
    decaying = model.head if muon else model.head + model.in_layers
    adam = torch.optim.AdamW(
        [{"params": decaying}, {"params": model.undecayed, "weight_decay": 0.0}],
        betas=(BETA1, config.rates.beta2),
        eps=EPS,
        weight_decay=config.weight_decay,
        fused=True,
    )
    weights = [*model.in_layers, *model.head, *model.undecayed]
    for step, (inputs, targets) in enumerate(batches(config, ids)):
        loss = model.losses(inputs, targets).sum() / (targets >= 0).sum()
        for weight in weights:
            weight.grad = None
        loss.backward()
        # of Muon's steps the gradient's length hardly matters
        norm = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
        clip_grads_with_norm_([*decaying, *model.undecayed], config.clip, norm)
        rate = config.learning_rate(step)
        for group in adam.param_groups:
            group["lr"] = rate
        adam.step()
        for each in muon:
            each.step(rate, config.weight_decay)
        yield loss.item()


@torch.no_grad()
def held_out_losses(model: Model, ids: IdArray, T: int) -> Array:
    """The loss (n - 1,) of each character but the first, in chunks of T with nothing before them."""
    text = torch.from_numpy(ids.astype(np.int64))
    missing = -(len(ids) - 1) % T
    inputs = functional.pad(text[:-1], (0, missing)).view(-1, T)
    targets = functional.pad(text[1:], (0, missing), value=-1).view(-1, T)
    losses = [model.losses(*rows) for rows in zip(inputs.split(16), targets.split(16), strict=True)]
    return torch.cat(losses).flatten()[: len(ids) - 1].double().numpy()


def main(
    text: Annotated[Path, typer.Argument(help="A text in UTF-8.")],
    tricks: Annotated[list[str], typer.Argument(help="Runs: for each, tricks with commas between.")],
    size: Annotated[str, typer.Option(help=f"One of {', '.join(SIZES)}.")] = "small",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 2,
    steps: Annotated[int, typer.Option(min=0, help="Steps of a run; 0: those of the size.")] = 0,
) -> None:
    """Try tricks, and print their losses in nats per character."""
    torch.set_num_threads(1)  # a step is too small for more
    torch.set_flush_denormal(True)  # Adam's moments of rare characters become denormal
    try:
        runs = {argument: set(argument.split(",")) for argument in tricks}
        if unknown := set().union(*runs.values()) - TRICKS:
            raise UsageError(f"there is no {shown(min(unknown))}; there are {', '.join(sorted(TRICKS))}")
        if size not in SIZES:
            raise UsageError(f"--size: there is no {shown(size)}; there are {', '.join(SIZES)}")
        options = COMMON | SIZES[size] | ({"steps": steps} if steps else {})
        read = read_text(text)
        ids, held_out = split(read.ids, options["val_fraction"])
        V = len(read.vocabulary)
        ngrams = fit(ids, V, NGRAM_ORDER)
        expected = ngrams.losses(ngrams.nodes(held_out, before=ids)[1:], held_out[1:])
        print(f"{'tricks':<40} {'seed':>4}  network  with 6-grams, at the weight")
        for name, chosen in runs.items():
            found = []
            for seed in range(1, seeds + 1):
                config = TrainConfig(file=str(text), seed=seed, **options)
                model = Model(config, V, chosen)
                for _ in train(model, config, ids):
                    pass
                losses = held_out_losses(model, held_out, config.seq_len)
                weight = fitted_weight(losses, expected)
                found.append((losses.mean(), interpolated(losses, expected, weight).mean(), weight))
                print(row(name, str(seed), *found[-1]), flush=True)
            print(row(name, "mean", *map(statistics.mean, zip(*found, strict=True))), flush=True)
    except MicrogptError as error:
        print(f"tricks: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


def row(name: str, seed: str, network: float, together: float, weight: float) -> str:
    return f"{name:<40} {seed:>4}   {network:.4f}        {together:.4f}           {weight:.2f}"


if __name__ == "__main__":
    typer.run(main)
