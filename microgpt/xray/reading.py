"""What a model computes as it reads a text: a forward and a backward pass over each of its windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from microgpt_kernels.attention_weights import attention_weights

from microgpt.arrays import Array, IdArray, all_finite
from microgpt.errors import MicrogptError
from microgpt.model.activations import Activations, activations
from microgpt.model.constants import Constants
from microgpt.model.parameters import Parameters, count, slot_views, table
from microgpt.model.placed import PlacedModel
from microgpt.model.steps import Batch
from microgpt.model.transformer import build
from microgpt.text.walk import Walk
from microgpt.xray.head import Head


@dataclass(frozen=True, eq=False)
class Reading:
    """What was computed of a text of n + 1 characters, on the host. W windows hold T characters each.

    The windows are those of `microgpt eval`: each is read with nothing before it. Only the last may be
    shorter; it is filled up with rows that nothing depends on.

    ids        (W, T)         what was read; beyond the text 0
    losses     (n,)           of each character but the first, in nats
    rstd       (n,)           by which the final layer norm multiplied each row
    qkv        (L, W, T, 3C)  queries, keys and values side by side, queries and keys after rotation
    heads      (L, n, C)      what the heads put out, side by side
    hidden     (L, n, F)      what the nonlinearity of the MLP puts out
    gradients  (W, L, C)      dloss/ds of a window's mean loss in nats, where s multiplies a column of `heads`
    """

    ids: Array
    losses: Array
    rstd: Array
    qkv: Array
    heads: Array
    hidden: Array
    gradients: Array

    def attention(self, head: Head, windows: slice) -> Array:
        """The attention weights (w, T, T) of a head in some windows: a row for each query."""
        qkv = self.qkv[head.layer, windows]
        w, T, C = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        own = np.concatenate([qkv[..., i * C :][..., head.columns] for i in range(3)], axis=-1)
        offsets, scales = np.array([0, head.width], np.int32), np.array([head.scale])
        return attention_weights(own.reshape(w * T, -1), offsets, scales, w)[:, 0]


class _State(NamedTuple):
    """The state of a reading: a batch is one window."""

    p: Parameters
    g: Parameters
    a: Activations
    c: Constants
    batch: Batch
    clock: Array  # (2,) int64: windows done; the second stays 0
    stride: int


class Reader:
    """The arrays to read one text with; `read` may be called again after the parameters have changed.

    ids  (n + 1,), n >= 1, of the model's vocabulary, in unsigned integers

    A window costs what a training step on it costs without Adam. Raises MicrogptError where the text is too
    short or the arrays exceed the budget.
    """

    def __init__(self, placed: PlacedModel, ids: IdArray) -> None:
        k, T, budget = placed.k, placed.architecture.seq_len, placed.budget
        self._k, self._ids = k, ids
        self._walk = Walk(len(ids), T, T, batch_size=1)
        tensors = table(placed.architecture.sizes)
        what, remedy = "the gradients of the model that is looked into", "use a smaller model"
        gradients = budget.zeros(k, (count(tensors),), placed.architecture.dtype, what, remedy)
        self._state = _State(
            p=placed.p,
            g=slot_views(gradients, tensors, 1),
            a=activations(placed, n_sequences=1, training=True),
            c=placed.c,
            batch=Batch(
                inputs=k.zeros((1, T), np.int32),
                targets=k.zeros((1, T), np.int32),
                n_targets=k.zeros((1,), np.int64),
                ids=k.to_device(ids),
                order=k.zeros((0,), np.int64),
            ),
            clock=k.zeros((2,), np.int64),
            stride=T,
        )
        forward, backward = build(k)

        def step(state: _State) -> None:
            p, g, a, c, batch, clock, stride = state
            rows = slice(0, batch.inputs.shape[1])
            inputs, targets = batch.inputs[0], batch.targets[0]
            k.batch_fill(batch.inputs, batch.targets, batch.n_targets, batch.ids, batch.order, clock, stride)
            forward(p, a, c, inputs, 0, rows, rows, slice(0, 1))
            k.cross_entropy_forward(a.losses, a.probs, a.logits, targets)
            backward(p, g, a, c, inputs, targets, batch.n_targets, 0, rows, slice(0, 1))
            k.clock_advance(clock)

        self._step = k.compile(step)

    def compile(self) -> None:
        """Compile the two passes, or load them from the cache: nothing is read."""
        self._step(0, self._state)

    def read(self) -> Reading:
        """Read the whole text. Raises MicrogptError where the losses are not finite."""
        W, T, n = self._walk.n_chunks, self._walk.seq_len, self._walk.n_targets
        self._k.from_host(self._state.clock, np.zeros(2, np.int64))
        losses, rstd, qkv, heads, hidden, gradients = zip(
            *(self._next_window() for _ in range(W)), strict=True
        )
        ids = np.zeros(W * T, np.int64)
        ids[:n] = self._ids[:n]
        reading = Reading(
            ids=ids.reshape(W, T),
            losses=np.concatenate(losses)[:n],
            rstd=np.concatenate(rstd)[:n],
            qkv=np.stack(qkv, axis=1),
            heads=np.concatenate(heads, axis=1)[:, :n],
            hidden=np.concatenate(hidden, axis=1)[:, :n],
            gradients=np.stack(gradients),
        )
        if not all_finite(reading.losses):
            raise MicrogptError("the model cannot be looked into: its losses on this text are not finite")
        return reading

    def _next_window(self) -> list[Array]:
        """The arrays of `Reading` but the ids, of the next window."""
        k, a = self._k, self._state.a
        self._step(1, self._state)
        # the next window overwrites the arrays, which on a CPU are not copied to the host
        kept = [np.array(k.to_host(array)) for array in (a.losses, a.rstdf, a.qkv, a.heads, a.hidden)]
        # a factor of a column of `heads` multiplies a row of the projection behind it: no other gradient is
        # needed than that of the projection
        proj_w, dproj_w = k.to_host(self._state.p.proj_w), k.to_host(self._state.g.proj_w[0])
        return [*kept, np.einsum("lcd,lcd->lc", proj_w, dproj_w, dtype=np.float64)]
