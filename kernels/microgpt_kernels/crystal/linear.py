"""The linear map, and the gradients of its input, weight and bias."""

from microgpt_kernels.crystal.gemm import gemm, transpose
from microgpt_kernels.crystal.jit import inlined, kernel


@kernel
def linear_forward(out, inp, weight, bias):
    """out = inp @ weight + bias

    out     (N, M)  written
    inp     (N, K)  read
    weight  (K, M)  read
    bias    (M,)    read
    """
    gemm(out, inp, weight, bias)


@kernel
def linear_backward(dinp, dweight, dbias, scratch, dout, inp, weight):
    """Gradient of `linear_forward`.

        dinp     = dout @ weight.T
        dweight  = inp.T @ dout
        dbias    = sum_N(dout)

    dinp     (N, K)  written
    dweight  (K, M)  written
    dbias    (M,)    written
    scratch  (K*M,)  scratch; may be larger
    dout     (N, M)  read
    inp      (N, K)  read
    weight   (K, M)  read
    """
    K, M = weight.shape
    # a tile reads rows of its second factor: copying the small weight is cheaper than strided reads
    weight_T = scratch[: K * M].reshape(M, K)
    transpose(weight_T, weight)
    gemm(dinp, dout, weight_T, 0.0)
    gemm(dweight, inp.T, dout, 0.0)
    sum_rows(dbias, dout)


@inlined
def sum_rows(total, rows):
    """total = sum_N(rows)"""
    N, M = rows.shape
    for m in range(M):
        total[m] = rows[0, m]
    for n in range(1, N):
        for m in range(M):
            total[m] += rows[n, m]
