"""The openblas backend: the linear maps by SciPy's BLAS, every other kernel borrowed from crystal.

Attention is borrowed too, although it is made of matrix products: those of one head are so small that calling
BLAS for each costs more than the arithmetic (docs/backends.md has the figures).
"""

from microgpt_kernels.crystal.adam import (
    adam_step,
    clock_advance,
    gradient_norm,
    loss_sum,
    shard_sum,
    step_record,
)
from microgpt_kernels.crystal.attention import attention_backward, attention_forward
from microgpt_kernels.crystal.batch import batch_fill
from microgpt_kernels.crystal.cross_entropy import cross_entropy_backward, cross_entropy_forward
from microgpt_kernels.crystal.embedding import (
    embedding_backward,
    embedding_forward,
    position_backward,
    position_forward,
)
from microgpt_kernels.crystal.jit import compile, inline, max_shards, parallel, shards
from microgpt_kernels.crystal.layernorm import layernorm_backward, layernorm_forward
from microgpt_kernels.crystal.memory import from_host, overhead, to_device, to_host, zeros
from microgpt_kernels.crystal.relu import relu_backward, relu_forward
from microgpt_kernels.crystal.residual import residual_backward, residual_forward
from microgpt_kernels.crystal.rope import rope_backward, rope_forward
from microgpt_kernels.crystal.sample import sample
from microgpt_kernels.openblas.linear import linear_backward, linear_forward
from microgpt_kernels.openblas.threads import describe, set_threads

__all__ = [
    "adam_step",
    "attention_backward",
    "attention_forward",
    "batch_fill",
    "clock_advance",
    "compile",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "describe",
    "embedding_backward",
    "embedding_forward",
    "from_host",
    "gradient_norm",
    "inline",
    "layernorm_backward",
    "layernorm_forward",
    "linear_backward",
    "linear_forward",
    "loss_sum",
    "max_shards",
    "overhead",
    "parallel",
    "position_backward",
    "position_forward",
    "relu_backward",
    "relu_forward",
    "residual_backward",
    "residual_forward",
    "rope_backward",
    "rope_forward",
    "sample",
    "set_threads",
    "shard_sum",
    "shards",
    "step_record",
    "to_device",
    "to_host",
    "zeros",
]
