"""The model, written once for all backends: two straight lists of kernel calls, one the mirror of the other.

p     parameters, views by name: p.qkv_w[l]
g     their gradients, of each shard s: g.qkv_w[s, l]
a     activations (workspace.py), and in `d...` their gradients
c     constants: where the heads begin, and the angles of rotary positions
s     the shard of the batch, which has a scratch and gradients of its own
rows  the rows to compute: those of the shard's sequences, or the one that generation adds
seen  the rows that they may look back to, themselves included
seqs  the sequences of the batch to which they belong
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

Step = Callable[..., None]


def build(k: ModuleType) -> tuple[Step, Step]:
    """forward and backward on the kernels of a backend."""

    def forward(p: Any, a: Any, c: Any, ids: Any, s: Any, rows: Any, seen: Any, seqs: Any) -> None:
        """From ids (N,) to a.logits[rows]."""
        L = len(p.ln1_w)
        k.embedding_forward(a.x[0, rows], ids[rows], p.tok)
        if len(p.pos) > 0:
            k.position_forward(a.x[0, rows], p.pos, rows.start)
        for l in range(L):
            # mid = x + proj(attention(layernorm(x)))
            k.layernorm_forward(
                a.ln1[l, rows], a.mean1[l, rows], a.rstd1[l, rows], a.x[l, rows], p.ln1_w[l], p.ln1_b[l]
            )
            k.linear_forward(a.qkv[l, rows], a.ln1[l, rows], p.qkv_w[l], p.qkv_b[l])
            if c.cos.shape[1] > 0:
                k.rope_forward(a.qkv[l, rows], c.cos[l], c.sin[l], c.offsets[l], rows.start)
            k.attention_forward(a.heads[l, rows], a.att[l, seqs], a.scratch[s], a.qkv[l, seen], c.offsets[l])
            k.linear_forward(a.branch[rows], a.heads[l, rows], p.proj_w[l], p.proj_b[l])
            k.residual_forward(a.mid[l, rows], a.x[l, rows], a.branch[rows])
            # next x = mid + down(relu(up(layernorm(mid))))
            k.layernorm_forward(
                a.ln2[l, rows], a.mean2[l, rows], a.rstd2[l, rows], a.mid[l, rows], p.ln2_w[l], p.ln2_b[l]
            )
            k.linear_forward(a.hidden[l, rows], a.ln2[l, rows], p.up_w[l], p.up_b[l])
            k.relu_forward(a.hidden[l, rows], a.hidden[l, rows])
            k.linear_forward(a.branch[rows], a.hidden[l, rows], p.down_w[l], p.down_b[l])
            k.residual_forward(a.x[l + 1, rows], a.mid[l, rows], a.branch[rows])
        k.layernorm_forward(a.lnf[rows], a.meanf[rows], a.rstdf[rows], a.x[L, rows], p.lnf_w, p.lnf_b)
        k.linear_forward(a.logits[rows], a.lnf[rows], p.head_w, p.head_b)

    def backward(
        p: Any, g: Any, a: Any, c: Any, ids: Any, targets: Any, n_targets: Any, s: Any, rows: Any, seqs: Any
    ) -> None:
        """From a.probs[rows], which it overwrites, to g[s]. Read it from below beside `forward`."""
        L = len(p.ln1_w)
        k.cross_entropy_backward(a.probs[rows], a.probs[rows], targets[rows], n_targets)
        k.linear_backward(
            a.dbranch[rows], g.head_w[s], g.head_b[s], a.scratch[s], a.probs[rows], a.lnf[rows], p.head_w
        )
        k.layernorm_backward(
            a.dx[rows], g.lnf_w[s], g.lnf_b[s], a.dbranch[rows],
            a.x[L, rows], p.lnf_w, a.meanf[rows], a.rstdf[rows],
        )  # fmt: skip
        for l in range(L - 1, -1, -1):
            # dx is the gradient of the next x; it flows past the branch, and through it
            k.linear_backward(
                a.dhidden[rows], g.down_w[s, l], g.down_b[s, l], a.scratch[s],
                a.dx[rows], a.hidden[l, rows], p.down_w[l],
            )  # fmt: skip
            k.relu_backward(a.dhidden[rows], a.dhidden[rows], a.hidden[l, rows])
            k.linear_backward(
                a.dbranch[rows], g.up_w[s, l], g.up_b[s, l], a.scratch[s],
                a.dhidden[rows], a.ln2[l, rows], p.up_w[l],
            )  # fmt: skip
            k.layernorm_backward(
                a.dbranch[rows], g.ln2_w[s, l], g.ln2_b[s, l], a.dbranch[rows],
                a.mid[l, rows], p.ln2_w[l], a.mean2[l, rows], a.rstd2[l, rows],
            )  # fmt: skip
            k.residual_backward(a.dx[rows], a.dbranch[rows])
            # dx is the gradient of mid
            k.linear_backward(
                a.dheads[rows], g.proj_w[s, l], g.proj_b[s, l], a.scratch[s],
                a.dx[rows], a.heads[l, rows], p.proj_w[l],
            )  # fmt: skip
            k.attention_backward(
                a.dqkv[rows], a.scratch[s], a.dheads[rows], a.qkv[l, rows], a.att[l, seqs], c.offsets[l]
            )
            if c.cos.shape[1] > 0:
                k.rope_backward(a.dqkv[rows], c.cos[l], c.sin[l], c.offsets[l])
            k.linear_backward(
                a.dbranch[rows], g.qkv_w[s, l], g.qkv_b[s, l], a.scratch[s],
                a.dqkv[rows], a.ln1[l, rows], p.qkv_w[l],
            )  # fmt: skip
            k.layernorm_backward(
                a.dbranch[rows], g.ln1_w[s, l], g.ln1_b[s, l], a.dbranch[rows],
                a.x[l, rows], p.ln1_w[l], a.mean1[l, rows], a.rstd1[l, rows],
            )  # fmt: skip
            k.residual_backward(a.dx[rows], a.dbranch[rows])
        if len(p.pos) > 0:
            k.position_backward(g.pos[s], a.dx[rows])
        k.embedding_backward(g.tok[s], a.dx[rows], ids[rows])

    return k.inline(forward), k.inline(backward)
