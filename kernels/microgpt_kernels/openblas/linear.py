"""The linear map by BLAS, and the gradients of its input, weight and bias."""

from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.crystal.linear import sum_rows
from microgpt_kernels.openblas.gemm import gemm


@kernel
def linear_forward(out, inp, weight, bias):
    """out = inp @ weight + bias

    out     (N, M)  written
    inp     (N, K)  read
    weight  (K, M)  read
    bias    (M,)    read
    """
    N, M = out.shape
    for n in range(N):
        for m in range(M):
            out[n, m] = bias[m]
    gemm(out, inp, weight, False, False, 1.0)


@kernel
def linear_backward(dinp, dweight, dbias, scratch, dout, inp, weight):
    """Gradient of `linear_forward`.

        dinp     = dout @ weight.T
        dweight  = inp.T @ dout
        dbias    = sum_N(dout)

    dinp     (N, K)  written
    dweight  (K, M)  written
    dbias    (M,)    written
    scratch  (K*M,)  scratch; not used, because BLAS reads transposed factors without a copy
    dout     (N, M)  read
    inp      (N, K)  read
    weight   (K, M)  read
    """
    gemm(dinp, dout, weight, False, True, 0.0)
    gemm(dweight, inp, dout, True, False, 0.0)
    sum_rows(dbias, dout)
