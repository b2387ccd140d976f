"""Texts written together with a tiny model, in a vocabulary of few characters."""

import dataclasses

import numpy as np
from microgpt_kernels import load
from support import placed

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.model.parameters import count, table
from microgpt.recipes import RECIPES
from microgpt.text.ngrams import fit
from microgpt.text.vocabulary import Vocabulary
from microgpt.use.draft import Draft
from microgpt.use.generate import Generator, Sampling

VOCABULARY = Vocabulary("\n abcdefghijk")
V = len(VOCABULARY)
T = 6
SAMPLING = Sampling(temperature=1.0, seed=3)


def model(ngrams=None, n_characters=V, **options):
    config = TrainConfig(
        file="",
        **RECIPES["plain"] | {"seq_len": T, "d_model": 12, "heads": "1+3+8", "n_layers": 2, **options},
    ).architecture(n_characters)
    values = np.random.default_rng(1).normal(0, 0.4, count(table(config.sizes))).astype(config.dtype)
    whole = placed(load("reference"), config, Budget(None), values)
    return dataclasses.replace(whole, ngrams=ngrams, ngram_weight=0.3)


def draft_of(prompt="", sampling=SAMPLING, vocabulary=VOCABULARY, **options):
    whole = model(n_characters=len(vocabulary), **options)
    return Draft(Generator(whole), vocabulary, prompt, sampling)


def ngrams():
    return fit(VOCABULARY.encode("a bad cab fed a big dad\n" * 3).astype(np.uint8), V, 3, Budget(None))
