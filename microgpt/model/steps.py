"""The three things that a run repeats: a training step, the evaluation of a batch, the next character.

Each is one function of one state, a tuple of arrays and numbers, and consists of kernel calls. The backend
records these calls and repeats them without Python. What differs from one repetition to the next, such as
the place in the text, follows from counters in the array `clock`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from microgpt.arrays import Array
from microgpt.model.activations import Activations
from microgpt.model.constants import Constants
from microgpt.model.parameters import Parameters
from microgpt.model.shards import Sharing
from microgpt.model.transformer import Step, build


class Batch(NamedTuple):
    """The sequences of one step, and the text from which the next step takes others."""

    inputs: Array  # (B, T) int32
    targets: Array  # (B, T) int32
    n_targets: Array  # (1,) int64
    ids: Array  # (X,) unsigned integers, the text
    order: Array  # (Q,) int64, the chunks in the order of their steps; empty for the order of the text


class Adam(NamedTuple):
    """All parameters with their gradients and moments, in flat buffers, and the settings of Adam."""

    param: Array  # (P,)
    m: Array  # (P,), the moving average of the gradient
    v: Array  # (P,), and of its square
    grad: Array  # (P,), of the whole batch
    shards: Array  # (S*P,), of single shards and of sums of several; with one shard the same memory as grad
    bounds: Array  # (J+1,) int64, where each tensor begins in a flat buffer, and where the last one ends
    losses: Array  # (N,), of the whole batch; in a single process the same memory as those in Activations
    norm: Array  # (1,), of the gradient
    lr: Array  # (R,), the learning rate of step i in slot i mod R
    log: Array  # (R, 2), the loss and the gradient's norm of step i in the same slot
    decay: Array  # (P,), the weight decay of each parameter; empty for none
    clock: Array  # (2,) int64: steps done, and whether the run has stopped
    beta1: float
    beta2: float
    eps: float
    clip: float


class Training(NamedTuple):
    """The state of training."""

    p: Parameters
    g: Parameters
    a: Activations
    c: Constants
    batch: Batch
    adam: Adam
    sharing: Sharing
    stride: int


class Exchange(NamedTuple):
    """One process's part of the whole gradient, and what all processes have computed of it."""

    out: Array  # (P',), a part of the gradient
    received: Array  # (n*P',), of each process
    bounds: Array  # (2,) int64: 0 and P'


class Evaluation(NamedTuple):
    """The state of an evaluation."""

    p: Parameters
    a: Activations
    c: Constants
    batch: Batch
    clock: Array  # (2,) int64: batches done; the second stays 0
    total: Array  # (1,) float64, the sum of the losses
    counted: Array  # (1,) int64, of how many characters
    stride: int


class Generation(NamedTuple):
    """The state of generation."""

    p: Parameters
    a: Activations
    c: Constants
    window: Array  # (T,) int32, the characters that the model sees
    output: Array  # (R,) int32, the characters that were drawn
    clock: Array  # (3,) int64: characters in the window, rows of it computed, characters drawn
    uniform: Array  # (R,), a random number in [0, 1) for each draw
    expected: Array  # (1, V), the next character's distribution by the n-grams; (0, V) without n-grams
    weight: float  # of the n-grams
    temperature: float
    top_k: int
    top_p: float


def build_training(k: ModuleType) -> Step:
    """train(n, state): n steps of Adam, each on the next batch of the walk."""
    differentiate, update = _halves(k)

    def step(state: Training) -> None:
        differentiate(state)
        update(state)

    train: Step = k.compile(step)
    return train


def build_shared_training(k: ModuleType) -> tuple[Step, Step, Step]:
    """The same in three steps, for processes that share a batch.

    differentiate(n, state)  the losses and the gradient of this process's own shards
    add_up(n, exchange)      a part of the whole gradient, from what all processes have sent
    update(n, state)         with the whole gradient and all losses: Adam's step
    """
    differentiate, update = _halves(k)
    steps: tuple[Step, Step, Step] = (k.compile(differentiate), build_sum(k), k.compile(update))
    return steps


def build_sum(k: ModuleType) -> Step:
    """add_up(n, exchange): a part of a sum, from what all processes, or all replicas, have of it."""

    def step(exchange: Exchange) -> None:
        n = len(exchange.received) // max(1, len(exchange.out))
        for part in k.shards(n):
            k.shard_sum(exchange.out, exchange.received, exchange.bounds, 1, part)

    add_up: Step = k.compile(step)
    return add_up


def _halves(k: ModuleType) -> tuple[Callable[[Training], None], Callable[[Training], None]]:
    """A training step up to the gradient, and what follows."""
    forward, backward = build(k)
    parts = k.shards

    def differentiate(state: Training) -> None:
        """The losses and the gradient of the next batch, or of this process's shards of it."""
        batch, adam, sharing = state.batch, state.adam, state.sharing
        k.batch_fill(
            batch.inputs, batch.targets, batch.n_targets, batch.ids, batch.order, adam.clock, state.stride
        )
        gradients(state)
        if sharing.n_slots > 1:
            for part in parts(sharing.n_groups):
                k.shard_sum(adam.grad, adam.shards, adam.bounds, sharing.slots_per_group, part)

    def gradients(state: Training) -> None:
        """The losses of all shards, and the sum of the gradients of each group, in the group's first slot."""
        p, g, a, c, batch, adam, sharing, _ = state
        B, T = batch.inputs.shape
        first, stop = sharing.own_sequences(B)
        n = (stop - first) * T
        ids, targets = batch.inputs[first:stop].reshape(n), batch.targets[first:stop].reshape(n)
        for group in parts(sharing.n_groups):
            for shard in sharing.shards(group):
                low, high = sharing.sequences(shard, B)
                seqs, rows = slice(low - first, high - first), slice((low - first) * T, (high - first) * T)
                s = sharing.slot(shard)
                forward(p, a, c, ids, s, rows, rows, seqs)
                k.cross_entropy_forward(a.losses[rows], a.probs[rows], a.logits[rows], targets[rows])
                backward(p, g, a, c, ids, targets, batch.n_targets, s, rows, seqs)
                for into, other in sharing.additions(shard):
                    k.shard_add(adam.shards, adam.bounds, into, other)

    def update(state: Training) -> None:
        """New parameters. The number of parts is fixed: at their ends, adam_step may round in another way."""
        adam, P, n_parts = state.adam, len(state.adam.param), state.sharing.n_shards
        k.gradient_norm(adam.norm, adam.grad)
        k.step_record(adam.log, adam.clock, adam.losses, state.batch.n_targets, adam.norm)
        for i in parts(n_parts):
            part = slice(i * P // n_parts, (i + 1) * P // n_parts)
            k.adam_step(
                adam.param[part], adam.m[part], adam.v[part],
                adam.grad[part], adam.norm, adam.lr, adam.decay[part], adam.clock,
                adam.beta1, adam.beta2, adam.eps, adam.clip,
            )  # fmt: skip
        k.clock_advance(adam.clock)

    return differentiate, update


def build_evaluation(k: ModuleType) -> Step:
    """evaluate(n, state): adds the losses of the next n batches to total, and their number to counted."""
    forward, _ = build(k)

    def step(state: Evaluation) -> None:
        a, batch = state.a, state.batch
        B, T = batch.inputs.shape
        rows = slice(0, B * T)
        k.batch_fill(
            batch.inputs, batch.targets, batch.n_targets, batch.ids, batch.order, state.clock, state.stride
        )
        forward(state.p, a, state.c, batch.inputs.reshape(B * T), 0, rows, rows, slice(0, B))
        k.cross_entropy_forward(a.losses, a.probs, a.logits, batch.targets.reshape(B * T))
        k.loss_sum(state.total, state.counted, a.losses, batch.n_targets)
        k.clock_advance(state.clock)

    evaluate: Step = k.compile(step)
    return evaluate


def build_generation(k: ModuleType) -> Step:
    """generate(n, state): n more characters.

    Keys and values stay in a.qkv, and what is shifted in time in a.ln1 and a.ln2, so that each costs one row.
    """
    forward, _ = build(k)

    def step(state: Generation, length: int, computed: int) -> None:
        rows, last = slice(computed, length), slice(length - 1, length)
        forward(state.p, state.a, state.c, state.window, 0, rows, slice(0, length), slice(0, 1))
        if len(state.expected) > 0:
            k.interpolate(state.a.logits[last], state.expected, state.weight)
        k.sample(
            state.window, state.output, state.clock, state.a.scratch[0], state.a.logits[rows],
            state.uniform, state.temperature, state.top_k, state.top_p,
        )  # fmt: skip

    generate: Step = k.compile(step, n_counters=2)
    return generate
