"""Interpolation of a network with n-grams: two distributions that know different things, averaged.

    p(w | h) = (1 - WEIGHT) * p_network(w | h) + WEIGHT * p_ngrams(w | h)

With weights that sum to 1, the sum of two distributions is one, too (Jelinek & Mercer 1980; with neural
networks, Mikolov et al. 2010). The network is trained on its own loss, as if there were no n-grams, and both
are put together where the model is used. docs/records.md has what that gains.
"""

from __future__ import annotations

import math

import numpy as np

from microgpt.arrays import Array
from microgpt.text.ngrams import Floats

# The optimum is flat: on tinyshakespeare all weights from 0.3 to 0.6 are within 0.005 nats of the best, and
# weights that depend on the context have gained less than 0.3%. The plain average has nothing to be tuned.
WEIGHT = 0.5


def interpolated(losses: Array, ngram_losses: Array) -> Floats:
    """The losses in nats of both together, from those of the network and of the n-grams, of one shape."""
    with np.errstate(invalid="ignore"):  # of a run that has gone wrong, the loss is not a number
        together: Floats = np.logaddexp(
            math.log(1 - WEIGHT) - losses.astype(np.float64), math.log(WEIGHT) - ngram_losses
        )
    return -together


def interpolated_logits(logits: Array, probabilities: Floats) -> Floats:
    """The logs (n, V) of both distributions together, from the network's logits (n, V) and the n-grams'
    probabilities (n, V)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted
    return -interpolated(losses, -np.log(probabilities))
