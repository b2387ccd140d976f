"""The least and the most of every number that can be set."""

import dataclasses
import math

import numpy as np
import pytest

from microgpt.bounds import BOUNDS
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError

NUMBERS = [field for field in dataclasses.fields(TrainConfig) if str(field.type).startswith(("int", "float"))]
# what else must be set for the least and the most to make sense
BESIDE = {
    "eval_every": {"val_fraction": 0.1},
    "stride": {"seq_len": 1 << 20},
    "min_lr": {"lr": np.nextafter(1e6, 0)},
    "d_model": {"heads": "ones"},
    "replicas": {"local_steps": 1},
    "local_steps": {"replicas": 1, "steps": 10**6},
    "outer_lr": {"replicas": 1, "local_steps": 1},
    "outer_momentum": {"replicas": 1, "local_steps": 1},
}


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_every_number_has_bounds_and_keeps_them(field):
    name, (least, most) = field.name, BOUNDS[field.name]
    real = isinstance(most, float)
    for value in (least, np.nextafter(most, 0) if real else most):
        TrainConfig(file="x", **BESIDE.get(name, {}), **{name: value})
    for value in (
        least - 1,
        most + 1,
        1e30 if real else 10**30,
        *((math.nan, math.inf, most) if real else ()),
    ):
        with pytest.raises(MicrogptError, match=f"--{name.replace('_', '-')} "):
            TrainConfig(file="x", **BESIDE.get(name, {}), **{name: value})
