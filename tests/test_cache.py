"""The cache of machine code: used again by the next process, never for a state whose fields have moved."""

import os
import subprocess
import sys

import pytest

# The step and its state stand in modules of their own, as the program has them: the cache goes by module.
STATES = """
import os
from collections import namedtuple

State = namedtuple("State", os.environ["FIELDS"].split())
"""
STEPS = """
from microgpt_kernels import crystal as k
from states import State

def build():
    def step(state):
        k.residual_backward(state.first, state.second)

    return k.compile(step)
"""
PROGRAM = """
import numpy as np
from steps import State, build

steps = build()
state = State(**{"first": np.ones((1, 3)), "second": np.ones((1, 3))})
steps(1, state)
print(state.first.sum(), state.second.sum(), len(steps.stats.cache_hits))
"""
# with Python's own cache, as users have it: the second process finds bytecode where the first had the source
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@pytest.fixture
def run(tmp_path):
    """What the program prints, in a new process."""
    (tmp_path / "states.py").write_text(STATES)
    (tmp_path / "steps.py").write_text(STEPS)

    def once(fields, hash_seed):
        cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=tmp_path,
            env={**ENVIRONMENT, **cache, "FIELDS": fields},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    return once


def test_the_cache_is_used_again_but_not_for_other_fields(run):
    assert run("first second", "1") == ["6.0", "3.0", "0"]
    assert run("first second", "2") == ["6.0", "3.0", "1"]  # the order of a set is another, the code the same
    assert run("second first", "1") == ["6.0", "3.0", "0"]
