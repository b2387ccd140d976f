"""Interpolation of a network with n-grams: two distributions that know different things, averaged.

    p(w | h) = (1 - weight) * p_network(w | h) + weight * p_ngrams(w | h)

With weights that sum to 1, the sum of two distributions is one, too (Jelinek & Mercer 1980; with neural
networks, Mikolov et al. 2010). The network is trained on its own loss, as if there were no n-grams, and both
are put together where the model is used. The weight is the one that predicts the held-out text best, fitted
at each evaluation and kept with the model; where nothing is held out, it is 1/2. docs/records.md has what
that gains.
"""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np

from microgpt.arrays import Array, blocks
from microgpt.text.ngrams import Floats

# the weights that are looked at are the multiples of 1 / FINENESS
FINENESS = 1 << 20


def interpolated(losses: Array, ngram_losses: Array, weight: float) -> Floats:
    """The losses in nats of both together, from those of the network and of the n-grams, of one shape.

    weight  of the n-grams, from 0 to 1
    """
    # of a run that has gone wrong, the loss is not a number; and what has no weight is not looked at
    with np.errstate(invalid="ignore", divide="ignore"):
        together: Floats = np.logaddexp(
            np.log1p(-weight) - losses.astype(np.float64), np.log(weight) - ngram_losses
        )
    return -together


def interpolated_logits(logits: Array, probabilities: Floats, weight: float) -> Floats:
    """The logs (n, V) of both distributions together, from the network's logits (n, V) and the n-grams'
    probabilities (n, V)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted
    return -interpolated(losses, -np.log(probabilities), weight)


def fitted_weight(losses: Array, ngram_losses: Array) -> float:
    """The weight of the n-grams with which both together predict a text best (maximum likelihood).

    losses, ngram_losses  (n,), of the text's characters

    Where the network gives a character the probability p and the n-grams give it q, let its lean be

        t = (q - p) / (q + p) = tanh((loss - ngram_loss) / 2)

    The log-likelihood of the text is concave in the weight,

        sum log((1 - weight) p + weight q) = sum log((q + p) / 2) + sum log(1 + (2 weight - 1) t)

    and so bisection finds where its slope, 2 sum t / (1 + (2 weight - 1) t), comes down to 0; at the borders
    that is 0 or 1. Not a number where a loss is none.

    One number that is fitted on n characters makes their loss about 1 / (2n) nats lower than it would be with
    the best weight for all texts of their kind: 0.000005 nats for 100,000 characters.
    """
    leans = losses - ngram_losses
    leans /= 2
    np.tanh(leans, out=leans)
    if np.isnan(leans).any():
        return math.nan

    def fall(i: int) -> float:
        """Minus the slope at the weight i / FINENESS."""
        balance = 2 * i / FINENESS - 1
        with np.errstate(divide="ignore"):
            return -sum(
                float((leans[low:high] / (1 + balance * leans[low:high])).sum())
                for low, high in blocks(0, len(leans))
            )

    return bisect_left(range(FINENESS), 0.0, key=fall) / FINENESS
