"""The loss of a model in which only some heads are on: of one coalition of heads, or of all of them.

A head that is off writes a constant to the residual stream, whatever the characters are: what it writes when
its output is replaced

    mean  by its mean over all characters that are read of the text, in the model with all heads on
    zero  by 0

Both are the same for all coalitions. The MLPs, the biases and the heads that are on compute as ever.

The coalitions of all heads are walked through so that little is computed twice. The heads of a layer do not
depend on which of them are on: only what comes after them does. So for each coalition of the heads before the
last layer, attention in the last layer is computed once, and what each of its heads writes to the stream is
kept. A coalition then costs one addition of such a part, the last MLP, the logits and the loss. This is done
for a block of text at a time, whose arrays stay in a core's cache, and threads share the text.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from microgpt.arrays import Array, Floats, IdArray
from microgpt.errors import MicrogptError
from microgpt.model.activations import Activations, activations
from microgpt.model.parameters import Parameters
from microgpt.model.placed import PlacedModel
from microgpt.model.transformer import build_parts
from microgpt.text.walk import Walk
from microgpt.xray.head import heads_of

REPLACEMENTS = ("mean", "zero")
# The text is measured in this many parts of about equal length, from which intervals are made.
MOST_PARTS = 32
# of a block: with 128 the arrays of a coalition just fill a core's second-level cache (1 MiB) at d_model 64
ROWS = 128
# Of the last layer, so many heads at the most are switched by recorded calls; all others by their weights.
MOST_RECORDED = 7
# as many coalitions of as many blocks at the most are in one recording: a coalition takes 2 KB of it
MOST_CALLS = 8192
REMEDY = "use a shorter text"


class Shared(NamedTuple):
    """The arrays that the blocks of a thread use one after the other."""

    a: Activations
    writes: Array  # (recorded heads, rows, C), what a head writes to the stream if on, less that if off
    sums: Array  # (recorded heads + 1, rows, C), the stream after each of these heads


class Block(NamedTuple):
    """Some sequences of a part of the text."""

    part: int
    ids: Array  # (n*T,) int32
    targets: Array  # (n*T,) int32; -1 where there is nothing to predict
    a: Activations  # those of Shared, but for `x` and `heads`, which are kept for each block
    rows: slice
    seqs: slice


class State(NamedTuple):
    """What the steps read and write besides the activations."""

    p: Parameters  # in the projections, the rows of heads that are off are 0; what they write is in the bias
    head_w: Array  # (recorded heads, C, C), the projection of a single head
    head_b: Array  # (recorded heads, C), minus what it writes if off
    totals: Array  # (parts, 2^recorded heads) float64, sums of losses
    counted: Array  # (1,) int64, which nobody reads: each part has a number of targets that is known
    n_targets: Array  # (1,) int64, 0


class Coalitions:
    """The losses on one text of a model in which only some heads are on.

    ids        (X,), X >= 2, of the model's vocabulary. The text is cut into chunks of seq_len characters,
               each read with nothing before it, as by `Evaluator`
    n_threads  that share the text; the results do not depend on it

    heads         all heads, those of the first layer first
    n_characters  that are predicted
    n_parts       of the text; each has its own losses, for intervals

    Losses are in bits per character. They are of the network alone, also where a model has n-grams. That of a
    part is scaled by its length, so that the mean over the parts is the loss of the whole text. Raises
    MicrogptError where the text is too short, the arrays exceed the budget, or outputs of heads are not
    finite.
    """

    def __init__(self, placed: PlacedModel, ids: IdArray, *, n_threads: int = 1) -> None:
        k, T = placed.k, placed.architecture.seq_len
        self.architecture = placed.architecture
        self.heads = heads_of(self.architecture)
        walk = Walk(len(ids), T, T, batch_size=1)
        self.n_characters, self.n_parts = walk.n_targets, min(MOST_PARTS, walk.n_chunks)
        self._placed, self._k, self._c, self._parts = placed, k, placed.c, build_parts(k)
        cuts = list(_cut(walk.n_chunks, self.n_parts, max(1, ROWS // T)))
        fit = (max(1, MOST_CALLS // len(cuts))).bit_length() - 1
        self._n_recorded = min(len(self.architecture.heads[-1]), MOST_RECORDED, fit)
        self._threads = self._blocks_of_threads(ids, cuts, min(n_threads, self.n_parts))
        self._state = self._new_state()
        self._host_w = np.array(k.to_host(placed.p.proj_w), np.float64)
        self._host_b = np.array(k.to_host(placed.p.proj_b), np.float64)
        L, C = self._host_b.shape
        # what replaces the outputs of heads, and of each layer how its heads are switched at present
        self._off_outputs = {"zero": np.zeros((L, C))}
        self._switched: list[tuple[str, tuple[bool, ...]] | None] = [None] * L
        self._start = k.compile(self._start_step)
        self._onward = [k.compile(functools.partial(self._onward_step, l)) for l in range(L - 1)]
        self._finish = k.compile(self._finish_step)
        self._sweep = k.compile(self._sweep_step)
        k.set_threads(n_threads)

    def compile(self) -> None:
        """Compile all kernels, or load them from the cache: nothing is computed."""
        # `_sweep` has the same kernels, and is long: it is recorded only once it is needed
        for step in (self._start, *self._onward, self._finish):
            step(0, self._state)

    def losses(self, on: Sequence[bool], off_by: str = "mean") -> Floats:
        """The losses (n_parts,) with only those heads on that `on` says, one for each of `heads`."""
        self._switch(tuple(on), off_by)
        self._finish(1, self._state)
        return self._taken()[:, 0]

    def without(self, h: int, off_by: str = "mean") -> Floats:
        """The losses (n_parts,) with all heads on but the one of this number."""
        return self.losses([other != h for other in range(len(self.heads))], off_by)

    def all_losses(self, off_by: str = "mean", progress: Callable[[int, int], None] | None = None) -> Floats:
        """The losses (2^H, n_parts) of all coalitions of the H heads.

        The binary digits of a row's number say which heads are on; the first one is that of the first head.

        progress(done, total)  is called on the way with two numbers of coalitions
        """
        n, n_at_once = 1 << len(self.heads), 1 << self._n_recorded
        table = np.empty((n, self.n_parts))
        off = (False,) * self._n_recorded
        # in this order the heads of the first layer are switched most rarely
        others = itertools.product((False, True), repeat=len(self.heads) - self._n_recorded)
        for done, on in zip(range(0, n, n_at_once), others, strict=True):
            self._switch(on + off, off_by)
            self._switch_recorded(off_by)
            self._sweep(1, self._state)
            table[done : done + n_at_once] = self._taken().T
            if progress is not None:
                progress(done + n_at_once, n)
        return table

    def mean_outputs(self) -> Floats:
        """The mean output of each head over all characters that are read, with all heads on: (L, C)."""
        if "mean" not in self._off_outputs:
            self._switch((True,) * len(self.heads), "zero")
            total = np.zeros_like(self._off_outputs["zero"])
            for _, blocks in self._threads:
                for block in blocks:
                    is_read = self._k.to_host(block.targets) >= 0
                    total += self._k.to_host(block.a.heads)[:, is_read].sum(axis=1, dtype=np.float64)
            if not np.isfinite(total).all():
                raise MicrogptError(
                    "the model's heads have outputs that are not finite: it cannot be measured"
                )
            self._off_outputs["mean"] = total / self.n_characters
        return self._off_outputs["mean"]

    # --- the steps ----------------------------------------------------------------------------------

    def _each_block(self) -> Iterator[tuple[Shared, Block]]:
        """All blocks; those of a thread are recorded one after the other."""
        for thread in self._k.shards(len(self._threads)):
            shared, blocks = self._threads[thread]
            for block in blocks:
                yield shared, block

    def _start_step(self, state: State) -> None:
        """The outputs of the heads of the first layer."""
        for _, b in self._each_block():
            self._parts.embed(state.p, b.a, b.ids, b.rows)
            self._parts.attend(state.p, b.a, self._c, 0, 0, b.rows, b.rows, b.seqs)

    def _onward_step(self, l: int, state: State) -> None:
        """From the outputs of the heads of layer l to those of the next layer."""
        for _, b in self._each_block():
            mid = b.a.mid[l, b.rows]
            self._parts.add_heads(mid, state.p, b.a, l, b.rows)
            self._parts.feed_forward(mid, state.p, b.a, self._c, l, b.rows, b.rows, b.seqs)
            self._parts.attend(state.p, b.a, self._c, l + 1, 0, b.rows, b.rows, b.seqs)

    def _finish_step(self, state: State) -> None:
        """From the outputs of the heads of the last layer to the losses."""
        last = self.architecture.n_layers - 1
        for shared, b in self._each_block():
            mid = shared.sums[0, b.rows]
            self._parts.add_heads(mid, state.p, b.a, last, b.rows)
            self._add_losses(state, b, mid, 0)

    def _sweep_step(self, state: State) -> None:
        """The same for all coalitions of the last heads, which are off in the projection."""
        k, last = self._k, self.architecture.n_layers - 1
        for shared, b in self._each_block():
            mid = shared.sums[0, b.rows]
            self._parts.add_heads(mid, state.p, b.a, last, b.rows)
            for i in range(self._n_recorded):
                k.linear_forward(
                    shared.writes[i, b.rows], b.a.heads[last, b.rows], state.head_w[i], state.head_b[i]
                )
            self._add_coalitions(state, shared, b, mid, 0, 0)

    def _add_coalitions(
        self, state: State, shared: Shared, b: Block, mid: Array, i: int, number: int
    ) -> None:
        """Add the losses of all coalitions of the recorded heads from the i-th on; those before are in `mid`.

        number  the binary digits of those before
        """
        if i == self._n_recorded:
            self._add_losses(state, b, mid, number)
            return
        self._add_coalitions(state, shared, b, mid, i + 1, 2 * number)
        with_head = shared.sums[i + 1, b.rows]
        self._k.residual_forward(with_head, mid, shared.writes[i, b.rows])
        self._add_coalitions(state, shared, b, with_head, i + 1, 2 * number + 1)

    def _add_losses(self, state: State, b: Block, mid: Array, number: int) -> None:
        """Add the losses that follow from the stream after attention in the last layer to a total."""
        k, a, last = self._k, b.a, self.architecture.n_layers - 1
        self._parts.feed_forward(mid, state.p, a, self._c, last, b.rows, b.rows, b.seqs)
        self._parts.read_out(state.p, a, b.rows)
        k.cross_entropy_forward(a.losses[b.rows], a.probs[b.rows], a.logits[b.rows], b.targets)
        total = state.totals[b.part, number : number + 1]
        k.loss_sum(total, state.counted, a.losses[b.rows], state.n_targets)

    def _taken(self) -> Floats:
        """The totals as losses (n_parts, .) in bits; they are 0 afterwards."""
        totals = self._state.totals
        sums = np.array(self._k.to_host(totals))
        self._k.from_host(totals, np.zeros_like(sums))
        return sums * (self.n_parts / self.n_characters / math.log(2))

    # --- switching heads ----------------------------------------------------------------------------

    def _switch(self, on: tuple[bool, ...], off_by: str) -> None:
        """Compute the outputs of all heads of this coalition, from the first layer on that has changed."""
        if off_by == "mean":
            self.mean_outputs()
        if self._switched[0] is None:
            self._start(1, self._state)
        changed = [l for l in range(len(self._switched)) if self._switch_layer(l, on, off_by)]
        for l in range(min(changed, default=len(self._onward)), len(self._onward)):
            self._onward[l](1, self._state)

    def _switch_layer(self, l: int, on: tuple[bool, ...], off_by: str) -> bool:
        """Write the projection of a layer; returns whether it has changed."""
        of_layer = [i for i, head in enumerate(self.heads) if head.layer == l]
        wanted = off_by, tuple(on[i] for i in of_layer)
        if wanted == self._switched[l]:
            return False
        weight, bias = self._host_w[l].copy(), self._host_b[l].copy()
        for i in of_layer:
            if not on[i]:
                rows = slice(self.heads[i].low, self.heads[i].high)
                bias += self._off_outputs[off_by][l, rows] @ weight[rows]
                weight[rows] = 0
        self._write(self._state.p.proj_w[l], weight)
        self._write(self._state.p.proj_b[l], bias)
        self._switched[l] = wanted
        return True

    def _switch_recorded(self, off_by: str) -> None:
        """Write the projection of each recorded head."""
        for i, head in enumerate(self.heads[len(self.heads) - self._n_recorded :]):
            rows, weight = slice(head.low, head.high), np.zeros_like(self._host_w[-1])
            weight[rows] = self._host_w[-1, rows]
            self._write(self._state.head_w[i], weight)
            self._write(self._state.head_b[i], -self._off_outputs[off_by][-1, rows] @ weight[rows])

    def _write(self, array: Array, values: Floats) -> None:
        self._k.from_host(array, values.astype(self.architecture.dtype))

    # --- the arrays ---------------------------------------------------------------------------------

    def _blocks_of_threads(
        self, ids: IdArray, cuts: list[tuple[int, int, int]], n_threads: int
    ) -> list[tuple[Shared, list[Block]]]:
        k, T, L, C = self._k, *(self.architecture.sizes[letter] for letter in "TLC")
        n_sequences = max(stop - first for _, first, stop in cuts)
        n_rows = cuts[-1][-1] * T
        self._placed.budget.book(2 * 4 * n_rows, "the characters that heads are measured on", REMEDY)
        inputs, targets = np.zeros(n_rows, np.int32), np.full(n_rows, -1, np.int32)
        inputs[: self.n_characters], targets[: self.n_characters] = ids[:-1], ids[1:]
        threads: list[tuple[Shared, list[Block]]] = []
        for thread in range(n_threads):
            shared = Shared(
                activations(self._placed, n_sequences=n_sequences),
                self._zeros(self._n_recorded, n_sequences * T, C),
                self._zeros(self._n_recorded + 1, n_sequences * T, C),
            )
            blocks = []
            for part, first, stop in cuts:
                if part * n_threads // self.n_parts == thread:
                    n, place = stop - first, slice(first * T, stop * T)
                    own = shared.a._replace(x=self._zeros(L + 1, n * T, C), heads=self._zeros(L, n * T, C))
                    block_ids, block_targets = k.to_device(inputs[place]), k.to_device(targets[place])
                    blocks.append(
                        Block(part, block_ids, block_targets, own, rows=slice(0, n * T), seqs=slice(0, n))
                    )
            threads.append((shared, blocks))
        return threads

    def _new_state(self) -> State:
        k, n, L, C = self._k, self._n_recorded, *(self.architecture.sizes[letter] for letter in "LC")
        return State(
            p=self._placed.p._replace(proj_w=self._zeros(L, C, C), proj_b=self._zeros(L, C)),
            head_w=self._zeros(n, C, C),
            head_b=self._zeros(n, C),
            totals=k.zeros((self.n_parts, 1 << n), np.float64),
            counted=k.zeros((1,), np.int64),
            n_targets=k.zeros((1,), np.int64),
        )

    def _zeros(self, *shape: int) -> Array:
        what = "what the heads write to the residual stream"
        return self._placed.budget.zeros(self._k, shape, self.architecture.dtype, what, REMEDY)


def _cut(n_chunks: int, n_parts: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Blocks of at most `size` chunks: the part of each, its first chunk, and the first one after it."""
    for part in range(n_parts):
        low, high = part * n_chunks // n_parts, (part + 1) * n_chunks // n_parts
        for first in range(low, high, size):
            yield part, first, min(first + size, high)
