"""A model as JSON for a page: its sizes, its constants, and its weights as base64 of float32."""

from __future__ import annotations

import base64
from typing import Any

from microgpt_kernels.contract import LAYERNORM_EPS

from microgpt.arrays import Array
from microgpt.model.architecture import Architecture
from microgpt.model.constants import ROPE_BASE, attention_scale
from microgpt.model.parameters import count, table
from microgpt.text.vocabulary import Vocabulary

# A larger page is slow to open and to send: it is refused, or leaves the model out.
MOST_BYTES = 8_000_000


def model_bytes(architecture: Architecture) -> int:
    """What the weights take in a page: three bytes of float32 are four characters of base64."""
    return 4 * -(-4 * count(table(architecture.sizes)) // 3)


def model_data(architecture: Architecture, vocabulary: Vocabulary, param: Array) -> dict[str, Any]:
    """What `Microgpt.load` of model.js makes a model of.

    param  (P,)  the weights in the order of `parameters.table`; those of float64 are rounded to float32
    """
    sizes, kind = architecture.sizes, architecture.attention_scale
    return {
        "format": 1,
        "vocabulary": vocabulary.characters,
        **{letter: sizes[letter] for letter in "TCFL"},
        "heads": architecture.heads,
        "scales": [[attention_scale(kind, D) for D in widths] for widths in architecture.heads],
        "positions": architecture.positions,
        "rope_base": ROPE_BASE,
        "activation": architecture.activation,
        "token_shift": architecture.token_shift,
        "attention_scale": kind,
        "layernorm_eps": LAYERNORM_EPS,
        "tensors": [[tensor.name, tensor.high - tensor.low] for tensor in table(sizes)],
        "weights": base64.b64encode(param.astype("<f4").tobytes()).decode("ascii"),
    }
