"""The cublas backend: numba.cuda kernels, and matrix products by cuBLAS, on one NVIDIA GPU."""

from microgpt_kernels.cublas.adam import (
    adam_step,
    clock_advance,
    gradient_norm,
    loss_sum,
    shard_sum,
    step_record,
)
from microgpt_kernels.cublas.attention import attention_backward, attention_forward
from microgpt_kernels.cublas.batch import batch_fill
from microgpt_kernels.cublas.cross_entropy import cross_entropy_backward, cross_entropy_forward
from microgpt_kernels.cublas.embedding import (
    embedding_backward,
    embedding_forward,
    position_backward,
    position_forward,
)
from microgpt_kernels.cublas.graph import compile, inline, max_shards, parallel, set_threads, shards
from microgpt_kernels.cublas.layernorm import layernorm_backward, layernorm_forward
from microgpt_kernels.cublas.linear import linear_backward, linear_forward
from microgpt_kernels.cublas.memory import describe, from_host, overhead, to_device, to_host, zeros
from microgpt_kernels.cublas.relu import relu_backward, relu_forward
from microgpt_kernels.cublas.residual import residual_backward, residual_forward
from microgpt_kernels.cublas.rope import rope_backward, rope_forward
from microgpt_kernels.cublas.sample import sample

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
