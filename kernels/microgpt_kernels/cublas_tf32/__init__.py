"""The cublas backend with TF32: cuBLAS may round the factors of float32 products to 10 bits of mantissa.

Tensor cores then multiply, several times as fast. The linear maps and `describe` are this backend's own; all
other names are borrowed from cublas, and float64 is not rounded.
"""

from microgpt_kernels.cublas import (
    adam_step,
    attention_backward,
    attention_forward,
    batch_fill,
    clock_advance,
    compile,
    cross_entropy_backward,
    cross_entropy_forward,
    embedding_backward,
    embedding_forward,
    from_host,
    gradient_norm,
    inline,
    layernorm_backward,
    layernorm_forward,
    loss_sum,
    max_shards,
    overhead,
    parallel,
    position_backward,
    position_forward,
    relu_backward,
    relu_forward,
    residual_backward,
    residual_forward,
    rope_backward,
    rope_forward,
    sample,
    set_threads,
    shard_sum,
    shards,
    step_record,
    to_device,
    to_host,
    zeros,
)
from microgpt_kernels.cublas_tf32.describe import describe
from microgpt_kernels.cublas_tf32.linear import linear_backward, linear_forward
