"""The systems that are compared: each one's program, its variant, and the settings that were the fastest."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from microgpt.arrays import Array

# n more steps; their losses, read back
Advance = Callable[[int], Array]


class AdamState(NamedTuple):
    """The parameters and both moments, (P,) each, in the order of `parameters.table`."""

    param: Array
    m: Array
    v: Array


class Program(NamedTuple):
    """A program that is compared: it runs n more steps and, if it trains a model, returns Adam's state."""

    advance: Advance
    state: Callable[[], AdamState] | None = None


class System(NamedTuple):
    module: str
    variant: str
    note: str


SYSTEMS = {
    "crystal": System(
        "ours", "crystal", "n steps are one call of compiled code; threads take shards, up to 64 of a batch"
    ),
    "openblas": System("ours", "openblas", "the same, linear maps by SciPy's BLAS at one thread a shard"),
    "pytorch": System(
        "pytorch",
        "eager",
        "eager autograd; parameters and gradients are views of two flat buffers, so that clipping and "
        "torch.optim.Adam(fused=True) meet one tensor; scaled_dot_product_attention(is_causal=True); "
        "denormals flushed",
    ),
    "pytorch-compile": System(
        "pytorch",
        "compile",
        "torch.compile of the whole step, backward pass, clipping and Adam included, with cpp_wrapper; "
        "scaled_dot_product_attention(is_causal=True); denormals flushed",
    ),
    "jax": System(
        "jax_",
        "step",
        "one jitted step a call, its state donated; at one thread without asynchronous dispatch",
    ),
    "jax-loop": System("jax_", "loop", "n jitted steps a call, in a fori_loop, its state donated"),
}
_GPU_NOTE = "one launch a step, of a CUDA graph"
GPU_SYSTEMS = {
    "cublas": System("ours", "cublas", f"{_GPU_NOTE}, n steps for each word from the host"),
    "pytorch-gpu": System("pytorch", "cuda-eager", "eager autograd on the GPU, set up as on a CPU"),
    "pytorch-gpu-graph": System(
        "pytorch", "cuda-graph", f"torch.compile of the whole step as on a CPU, then {_GPU_NOTE}"
    ),
    "cublas-tf32": System("ours", "cublas-tf32", "cublas with products of float32 in TF32"),
    "pytorch-gpu-tf32": System("pytorch", "cuda-eager-tf32", "pytorch-gpu with the same"),
    "pytorch-gpu-graph-tf32": System("pytorch", "cuda-graph-tf32", "pytorch-gpu-graph with the same"),
}
PEAK_SIZE = 2048
PEAK = System("peak", "", f"the peak: OpenBLAS sgemm of {PEAK_SIZE} x {PEAK_SIZE} matrices")


def ours_beside(system: str) -> str:
    """The one of our backends with which a system is compared."""
    if system not in GPU_SYSTEMS:
        return "crystal"
    return "cublas-tf32" if system.endswith("tf32") else "cublas"


def environment(threads: int) -> dict[str, str]:
    """Variables that libraries read when they are imported."""
    variables = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "NUMBA")}
    if threads == 1:
        # JAX uses the cores that its process may use; this is for operating systems without affinity
        variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    return variables | {
        "JAX_PLATFORMS": "cpu",
        # no pool of compilers that stays alive beside the measurement
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


def cores(n: int) -> list[int]:
    """n of the cores that this process may use; both halves of a physical core only if no other is left."""

    def second_half(core: int) -> bool:
        siblings = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        first = re.match(r"\d+", siblings.read_text()) if siblings.exists() else None
        return first is not None and int(first[0]) != core

    return sorted(os.sched_getaffinity(0), key=lambda core: (second_half(core), core))[:n]
