"""Gradient importance: how strongly the loss depends on each head, from one backward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from microgpt.arrays import Array
from microgpt.xray.head import Head, sum_by_head
from microgpt.xray.reading import Reading


def gradient_importance(reading: Reading, heads: Sequence[Head]) -> Array:
    """The importance (H,) of each head, in bits per character (Michel et al. 2019, arXiv 1905.10650, eq. 2):

        I_h = E_x |dL(x)/ds_h| = E_x |sum_t o_h[t] . dL(x)/do_h[t]|

    where s_h = 1 multiplies what the head puts out, o_h, and L(x) is the mean loss of a window x. It is to
    first order how much the loss of a window changes when the head is switched off, up or down: it says that
    the head matters, not that it helps. The mean E_x is over the windows, each as much as it has characters.
    The sizes differ between layers, and the authors divide them by their norm in each layer; this is not
    divided.
    """
    n, T = len(reading.losses), reading.ids.shape[1]
    characters = np.minimum(n - T * np.arange(len(reading.ids)), T)
    each = np.abs(sum_by_head(reading.gradients, heads))
    importance: Array = characters @ each / n / math.log(2)
    return importance
