"""The crystal backend: every kernel is a Numba loop or uses our own register tiles; BLAS is not used."""

from microgpt_kernels.crystal.adam import adam_step, gradient_norm, shard_add, shard_sum
from microgpt_kernels.crystal.attention import attention_backward, attention_forward
from microgpt_kernels.crystal.batch import batch_fill
from microgpt_kernels.crystal.clock import clock_advance, step_record
from microgpt_kernels.crystal.compiling import compile
from microgpt_kernels.crystal.cross_entropy import cross_entropy_backward, cross_entropy_forward
from microgpt_kernels.crystal.describe import describe
from microgpt_kernels.crystal.embedding import (
    embedding_backward,
    embedding_forward,
    position_backward,
    position_forward,
)
from microgpt_kernels.crystal.interpolate import interpolate
from microgpt_kernels.crystal.layernorm import layernorm_backward, layernorm_forward
from microgpt_kernels.crystal.linear import linear_backward, linear_forward
from microgpt_kernels.crystal.loss_sum import loss_sum
from microgpt_kernels.crystal.memory import from_host, overhead, to_device, to_host, zeros
from microgpt_kernels.crystal.relu import relu_backward, relu_forward
from microgpt_kernels.crystal.relu_squared import relu_squared_backward, relu_squared_forward
from microgpt_kernels.crystal.residual import residual_backward, residual_forward
from microgpt_kernels.crystal.rope import rope_backward, rope_forward
from microgpt_kernels.crystal.sample import sample
from microgpt_kernels.crystal.shift import shift_backward, shift_forward
from microgpt_kernels.crystal.threads import max_shards, set_threads, shards
