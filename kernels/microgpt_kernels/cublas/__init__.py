"""The cublas backend: numba.cuda kernels, and matrix products by cuBLAS, on one NVIDIA GPU."""

from microgpt_kernels.cublas.adam import adam_step, gradient_norm, shard_add, shard_sum
from microgpt_kernels.cublas.attention import attention_backward, attention_forward
from microgpt_kernels.cublas.batch import batch_fill
from microgpt_kernels.cublas.clock import clock_advance, step_record
from microgpt_kernels.cublas.compiling import compile
from microgpt_kernels.cublas.cross_entropy import cross_entropy_backward, cross_entropy_forward
from microgpt_kernels.cublas.describe import describe
from microgpt_kernels.cublas.embedding import (
    embedding_backward,
    embedding_forward,
    position_backward,
    position_forward,
)
from microgpt_kernels.cublas.interpolate import interpolate
from microgpt_kernels.cublas.layernorm import layernorm_backward, layernorm_forward
from microgpt_kernels.cublas.linear import linear_backward, linear_forward
from microgpt_kernels.cublas.loss_sum import loss_sum
from microgpt_kernels.cublas.memory import from_host, overhead, to_device, to_host, zeros
from microgpt_kernels.cublas.relu import relu_backward, relu_forward
from microgpt_kernels.cublas.relu_squared import relu_squared_backward, relu_squared_forward
from microgpt_kernels.cublas.residual import residual_backward, residual_forward
from microgpt_kernels.cublas.rope import rope_backward, rope_forward
from microgpt_kernels.cublas.sample import sample
from microgpt_kernels.cublas.shift import shift_backward, shift_forward
from microgpt_kernels.cublas.threads import max_shards, set_threads, shards
