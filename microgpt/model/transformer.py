"""The model, written once for all backends: two straight lists of kernel calls, one the mirror of the other.

The forward list is cut into parts, some of which the X-ray of a model's heads repeats.

k     the backend, whose kernels contract.py describes
p     parameters, as tensors by name: p.qkv_w[l] is that of layer l
g     their gradients, in several slots: g.qkv_w[s, l]
a     activations, and in `d...` the gradients of activations
c     constants: where the heads begin, what their scores are multiplied by, the angles of rotary positions,
      and which rectifier the MLP has
s     which slot is used, for gradients and for scratch memory: what runs at the same time has others
rows  which of the N rows are computed: those of a shard's sequences, or the one that generation adds
seen  the rows that attention and the shift in time may look at: those before in the same sequences, and
      `rows` themselves
seqs  which of the B sequences the rows belong to
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from microgpt.arrays import Array
from microgpt.model.activations import Activations
from microgpt.model.constants import Constants
from microgpt.model.parameters import Parameters

Step = Callable[..., None]


class Parts(NamedTuple):
    """The forward pass in parts, which `forward` calls one after the other."""

    embed: Step  # from ids to a.x[0]
    attend: Step  # from a.x[l] to the outputs a.heads[l] of the layer's heads
    add_heads: Step  # from a.x[l] and a.heads[l] to mid, the residual stream after attention
    feed_forward: Step  # from mid to a.x[l + 1]
    read_out: Step  # from the last a.x to a.logits


def build_parts(k: ModuleType) -> Parts:
    """The parts of the forward pass on the kernels of a backend."""

    def embed(p: Parameters, a: Activations, ids: Array, rows: slice) -> None:
        k.embedding_forward(a.x[0, rows], ids[rows], p.tok)
        if len(p.pos) > 0:
            k.position_forward(a.x[0, rows], p.pos, rows.start)

    def attend(
        p: Parameters, a: Activations, c: Constants, l: int, s: int, rows: slice, seen: slice, seqs: slice
    ) -> None:
        """heads = attention(rope(linear(shift(layernorm(x)))))"""
        qkv_inp = a.ln1
        k.layernorm_forward(
            a.ln1[l, rows], a.mean1[l, rows], a.rstd1[l, rows], a.x[l, rows], p.ln1_w[l], p.ln1_b[l]
        )
        if a.shift1.shape[1] > 0:
            qkv_inp = a.shift1
            k.shift_forward(a.shift1[l, rows], a.ln1[l, seen], seqs.stop - seqs.start)
        k.linear_forward(a.qkv[l, rows], qkv_inp[l, rows], p.qkv_w[l], p.qkv_b[l])
        if c.cos.shape[1] > 0:
            k.rope_forward(a.qkv[l, rows], c.cos[l], c.sin[l], c.offsets[l], rows.start)
        k.attention_forward(
            a.heads[l, rows], a.att[l, seqs], a.scratch[s], a.qkv[l, seen], c.offsets[l], c.scales[l]
        )

    def add_heads(mid: Array, p: Parameters, a: Activations, l: int, rows: slice) -> None:
        """mid = x + proj(heads)"""
        branch = a.branch[rows]
        k.linear_forward(branch, a.heads[l, rows], p.proj_w[l], p.proj_b[l])
        k.residual_forward(mid, a.x[l, rows], branch)

    def feed_forward(
        mid: Array, p: Parameters, a: Activations, c: Constants, l: int,
        rows: slice, seen: slice, seqs: slice,
    ) -> None:  # fmt: skip
        """next x = mid + down(relu(up(shift(layernorm(mid))))), or with the square of relu"""
        branch, up_inp = a.branch[rows], a.ln2
        k.layernorm_forward(a.ln2[l, rows], a.mean2[l, rows], a.rstd2[l, rows], mid, p.ln2_w[l], p.ln2_b[l])
        if a.shift2.shape[1] > 0:
            up_inp = a.shift2
            k.shift_forward(a.shift2[l, rows], a.ln2[l, seen], seqs.stop - seqs.start)
        k.linear_forward(a.hidden[l, rows], up_inp[l, rows], p.up_w[l], p.up_b[l])
        if c.squared:
            k.relu_squared_forward(a.hidden[l, rows], a.hidden[l, rows])
        else:
            k.relu_forward(a.hidden[l, rows], a.hidden[l, rows])
        k.linear_forward(branch, a.hidden[l, rows], p.down_w[l], p.down_b[l])
        k.residual_forward(a.x[l + 1, rows], mid, branch)

    def read_out(p: Parameters, a: Activations, rows: slice) -> None:
        """logits = unembed(layernorm(x))"""
        L = len(p.ln1_w)
        k.layernorm_forward(a.lnf[rows], a.meanf[rows], a.rstdf[rows], a.x[L, rows], p.lnf_w, p.lnf_b)
        k.linear_forward(a.logits[rows], a.lnf[rows], p.unembed_w, p.unembed_b)

    return Parts(embed, attend, add_heads, feed_forward, read_out)


def build(k: ModuleType) -> tuple[Step, Step]:
    """forward and backward on the kernels of a backend."""
    parts = build_parts(k)

    def forward(
        p: Parameters, a: Activations, c: Constants, ids: Array, s: int, rows: slice, seen: slice, seqs: slice
    ) -> None:
        """From ids (N,) to a.logits[rows]."""
        parts.embed(p, a, ids, rows)
        for l in range(len(p.ln1_w)):
            parts.attend(p, a, c, l, s, rows, seen, seqs)
            parts.add_heads(a.mid[l, rows], p, a, l, rows)
            parts.feed_forward(a.mid[l, rows], p, a, c, l, rows, seen, seqs)
        parts.read_out(p, a, rows)

    def backward(
        p: Parameters, g: Parameters, a: Activations, c: Constants,
        ids: Array, targets: Array, n_targets: Array, s: int, rows: slice, seqs: slice,
    ) -> None:  # fmt: skip
        """From a.probs[rows] to g[s]. Each comment is the line of `forward` whose gradient comes next."""
        L = len(p.ln1_w)
        scratch, dx, n_sequences = a.scratch[s], a.dx[rows], seqs.stop - seqs.start
        dqkv, dhidden = a.dqkv[rows], a.dhidden[rows]
        shifts = a.shift1.shape[1] > 0
        qkv_inp, up_inp = (a.shift1, a.shift2) if shifts else (a.ln1, a.ln2)
        # several names for the same memory: each of these arrays is no longer needed when the next is written
        dlogits = probs = a.probs[rows]
        dbranch = dlnf = dln2 = dln1 = a.dbranch[rows]
        dshift2 = dheads = dshift1 = a.dheads[rows]
        dup_inp, dqkv_inp = (dshift2, dshift1) if shifts else (dln2, dln1)
        # losses = -log(probs), where probs = softmax(logits)
        k.cross_entropy_backward(dlogits, probs, targets[rows], n_targets)
        # logits = unembed(lnf)
        k.linear_backward(dlnf, g.unembed_w[s], g.unembed_b[s], scratch, dlogits, a.lnf[rows], p.unembed_w)
        # lnf = layernorm(x)
        k.layernorm_backward(
            dx, g.lnf_w[s], g.lnf_b[s], dlnf, a.x[L, rows], p.lnf_w, a.meanf[rows], a.rstdf[rows]
        )
        for l in range(L - 1, -1, -1):
            # dx is the gradient of the next x, then of mid, then of x: each time the branch's part is added
            # next x = mid + down(hidden)
            k.linear_backward(
                dhidden, g.down_w[s, l], g.down_b[s, l], scratch, dx, a.hidden[l, rows], p.down_w[l]
            )
            # hidden = relu(up(shift(ln2))), or its square
            if c.squared:
                k.relu_squared_backward(dhidden, dhidden, a.hidden[l, rows])
            else:
                k.relu_backward(dhidden, dhidden, a.hidden[l, rows])
            k.linear_backward(
                dup_inp, g.up_w[s, l], g.up_b[s, l], scratch, dhidden, up_inp[l, rows], p.up_w[l]
            )
            if shifts:
                k.shift_backward(dln2, dshift2, n_sequences)
            # ln2 = layernorm(mid)
            k.layernorm_backward(
                dbranch, g.ln2_w[s, l], g.ln2_b[s, l], dln2,
                a.mid[l, rows], p.ln2_w[l], a.mean2[l, rows], a.rstd2[l, rows],
            )  # fmt: skip
            k.residual_backward(dx, dbranch)
            # mid = x + proj(heads)
            k.linear_backward(
                dheads, g.proj_w[s, l], g.proj_b[s, l], scratch, dx, a.heads[l, rows], p.proj_w[l]
            )
            # heads = attention(rope(qkv))
            k.attention_backward(
                dqkv, scratch, a.att[l, seqs],
                dheads, a.heads[l, rows], a.qkv[l, rows], c.offsets[l], c.scales[l],
            )  # fmt: skip
            if c.cos.shape[1] > 0:
                k.rope_backward(dqkv, c.cos[l], c.sin[l], c.offsets[l])
            # qkv = linear(shift(ln1))
            k.linear_backward(
                dqkv_inp, g.qkv_w[s, l], g.qkv_b[s, l], scratch, dqkv, qkv_inp[l, rows], p.qkv_w[l]
            )
            if shifts:
                k.shift_backward(dln1, dshift1, n_sequences)
            # ln1 = layernorm(x)
            k.layernorm_backward(
                dbranch, g.ln1_w[s, l], g.ln1_b[s, l], dln1,
                a.x[l, rows], p.ln1_w[l], a.mean1[l, rows], a.rstd1[l, rows],
            )  # fmt: skip
            k.residual_backward(dx, dbranch)
        # x = tok[ids] + pos
        if len(p.pos) > 0:
            k.position_backward(g.pos[s], dx)
        k.embedding_backward(g.tok[s], dx, ids[rows])

    return forward, backward
