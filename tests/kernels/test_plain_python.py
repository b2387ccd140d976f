"""The CPU backends as plain Python, which a debugger can follow: NUMBA_DISABLE_JIT=1 changes no result."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import CPU_BACKENDS

PROGRAM = """
import sys

import numba
import numpy as np
from microgpt_kernels import load
from support import make_trainer, relative_error

from microgpt.config import TrainConfig
from microgpt.model.parameters import initial, table

assert numba.config.DISABLE_JIT and not hasattr(load(sys.argv[1]).shard_sum, "py_func"), "compiled after all"
for positions, activation, token_shift, attention_scale, batch_size in (
    ("rope", "relu2", False, "linear", 1), ("learned", "relu", True, "sqrt", 2),
):
    config = TrainConfig(
        file="no file", heads="1+2+3", d_model=6, d_ff=5, n_layers=1, seq_len=4, dtype="float64",
        positions=positions, activation=activation, token_shift=token_shift, attention_scale=attention_scale,
        batch_size=batch_size,
    )
    param = initial(table(config.architecture(7).sizes), 1, "float64")
    runs = [
        make_trainer(backend, config, np.arange(40, dtype=np.uint8) % 7, 7, param)
        for backend in (sys.argv[1], "reference")
    ]
    losses = [run.advance(2).loss for run in runs]
    assert relative_error(*losses) < 1e-12, losses
    for name in ("grad", "param"):
        assert relative_error(*(run.host(name) for run in runs)) < 1e-9, name
"""


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_training_step_as_plain_python(backend, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend],
        cwd=Path(__file__).parents[1],
        # an empty cache: nothing may need to have been compiled before
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
