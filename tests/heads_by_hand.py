"""What the tests of the X-ray share: small models, random and made by hand."""

from typing import NamedTuple

import numpy as np
from microgpt_kernels import reference
from support import placed

from microgpt.api.log import Log
from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import Parameters, count, table, views
from microgpt.model.placed import PlacedModel
from microgpt.recipes import RECIPES
from microgpt.text.vocabulary import Vocabulary
from microgpt.xray.head import Head, heads_of
from microgpt.xray.reading import Reader
from microgpt.xray.xray import xray

VOCABULARY = Vocabulary("\n abcdé")
V = len(VOCABULARY)
# all that changes what heads do: layers that differ, rotation, the shift, another scale, an odd width
KINDS = {
    "learned": {"heads": "1+2+3 | 6", "positions": "learned"},
    "rope-shifted": {"heads": "5+1 | 2+4", "token_shift": True, "activation": "relu2"},
    "linear": {"heads": "3+3", "positions": "none", "attention_scale": "linear"},
}


class LookedInto(NamedTuple):
    """A model and what is known of it without a text."""

    placed: PlacedModel
    p: Parameters
    heads: tuple[Head, ...]
    architecture: Architecture

    def read(self, ids):
        return Reader(self.placed, ids).read()


def architecture_of(n_characters=V, **options):
    sizes = {"seq_len": 7, "d_model": 6, "d_ff": 5, "heads": "1+2+3", "dtype": "float64", **options}
    return TrainConfig(file="", **RECIPES["plain"] | sizes).architecture(n_characters)


def looked_into(architecture, param, k=reference):
    model = placed(k, architecture, Budget(None), param.astype(architecture.dtype))
    p = views(model.k.to_host(model.param), table(architecture.sizes))
    return LookedInto(model, p, heads_of(architecture), architecture)


def random_model(k=reference, **options):
    """Of random weights, in which no bias is 0 and heads look at some keys more than at others."""
    architecture = architecture_of(**options)
    tensors = table(architecture.sizes)
    param = np.random.default_rng(3).normal(0, 0.5, count(tensors))
    p = views(param, tensors)
    for norm in (p.ln1_w, p.ln2_w, p.lnf_w):
        norm += 1
    return looked_into(architecture, param, k)


def xray_of(model, ids, **options):
    run = {"name": "by hand", "ngrams": None}
    return xray(model.placed, VOCABULARY, ids, "your text", run, Log(), **options)


def text_of(n):
    """Ids of a random text, in which lines and words begin."""
    return np.random.default_rng(n).integers(0, V, n).astype(np.uint8)


def copies_the_previous_character(T=6):
    """A model of one layer. Its first head looks at the character before and adds that to the logits; its
    second head has only zeros; nor does the MLP do anything.

    Of the channels the first V hold the character, the next T the position, and the last V what is copied.
    """
    D, C = max(V, T), 2 * V + T
    architecture = architecture_of(
        seq_len=T, d_model=C, n_layers=1, d_ff=1, heads=f"{D}+{C - D}", positions="learned"
    )
    tensors = table(architecture.sizes)
    param = np.zeros(count(tensors))
    p = views(param, tensors)
    for norm in (p.ln1_w, p.ln2_w, p.lnf_w):
        norm[...] = 1
    p.tok[:, :V] = np.eye(V)
    p.pos[:, V : V + T] = np.eye(T)
    q, k, v = (p.qkv_w[0][:, i * C : i * C + D] for i in range(3))
    q[V : V + T, :T] = 20 * np.eye(T)
    k[V : V + T, :T] = np.eye(T, k=1)  # what stands at s is looked for at s + 1
    v[:V, :V] = np.eye(V)
    p.proj_w[0][:V, V + T : 2 * V + T] = 5 * np.eye(V)
    p.unembed_w[V + T : 2 * V + T] = np.eye(V)
    return looked_into(architecture, param)
