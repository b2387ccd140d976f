"""The smallest and largest value of each option, and checks of options that have a list of choices."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from microgpt.errors import MicrogptError, shown

# far beyond any model for a CPU; it keeps a mistyped d_model from filling the memory with heads of width 1
MAX_D_MODEL = 65_536
MAX_LAYERS = 1000
# How many characters an X-ray looks at where nobody says it, enough to read on a page; and at the most, since
# it keeps what every layer has computed of each.
XRAY_CHARACTERS, MAX_XRAY_CHARACTERS = 2000, 100_000
# The smallest and the largest value of each option, far beyond any use. Real numbers stay below the largest.
BOUNDS: dict[str, tuple[float, float]] = {
    "steps": (1, 10**12),
    "seq_len": (1, 1 << 20),
    "stride": (1, 1 << 20),
    "batch_size": (1, 1 << 20),
    "d_model": (1, MAX_D_MODEL),
    "n_layers": (1, MAX_LAYERS),
    "d_ff": (1, 1 << 22),
    "vocabulary_size": (1, 0x110000),  # the code points of Unicode
    "lr": (0.0, 1e6),  # far below where float32 overflows
    "min_lr": (0.0, 1e6),
    "beta2": (0.0, 1.0),
    "warmup": (0, 10**12),
    "clip": (0.0, 1e30),
    "weight_decay": (0.0, 1e6),
    "val_fraction": (0.0, 1.0),
    "eval_every": (1, 10**12),
    "sample_every": (1, 10**12),
    "snapshots": (2, 100_000),
    "ngrams": (0, 16),
    "seed": (0, (1 << 63) - 1),
    "threads": (1, 1 << 20),
    "replicas": (1, 1024),
    "local_steps": (1, 10**6),
    "outer_lr": (1e-6, 10.0),
    "outer_momentum": (0.0, 1.0),
}


def option_name(name: str) -> str:
    return name.replace("_", "-")


def check_bounds(config: Any) -> None:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in BOUNDS or value is None:
            continue
        least, most = BOUNDS[field.name]
        option = f"--{option_name(field.name)}"
        if isinstance(most, float):
            if not least <= value < most:
                raise MicrogptError(f"{option} must be at least {least:g} and below {most:g}, not {value:g}")
        elif value < least:
            raise MicrogptError(f"{option} must be at least {least}, not {shown(value)}")
        elif value > most:
            raise MicrogptError(f"{option} can be at most {most}, not {shown(value)}")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        near = difflib.get_close_matches(value[:40], choices, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise MicrogptError(f"--{option_name(name)} {shown(value)} is none of {', '.join(choices)}{hint}")
