"""The linear map by cuBLAS, and the gradients of its input, weight and bias."""

from microgpt_kernels.cublas.block import THREADS, WARP, WARPS, blocks, lane, warp_row
from microgpt_kernels.cublas.gemm import gemm
from microgpt_kernels.cublas.jit import kernel
from microgpt_kernels.cublas.sums import sum_rows


def linear_forward(out, inp, weight, bias):
    """out = inp @ weight + bias

    out     (N, M)  written
    inp     (N, K)  read
    weight  (K, M)  read
    bias    (M,)    read
    """
    forward(out, inp, weight, bias, tf32=False)


def linear_backward(dinp, dweight, dbias, scratch, dout, inp, weight):
    """Gradient of `linear_forward`.

        dinp    = dout @ weight.T
        dweight = inp.T @ dout
        dbias   = sum_N(dout)

    dinp     (N, K)  written
    dweight  (K, M)  written
    dbias    (M,)    written
    scratch  (K*M,)  scratch; not used, because BLAS reads transposed factors without a copy
    dout     (N, M)  read
    inp      (N, K)  read
    weight   (K, M)  read
    """
    backward(dinp, dweight, dbias, dout, inp, weight, tf32=False)


def forward(out, inp, weight, bias, tf32):
    """`linear_forward`, with or without TF32."""
    _fill_rows_kernel.launch(blocks(len(out), WARPS), THREADS, out, bias)
    gemm(out, inp, weight, accumulate=True, tf32=tf32)


def backward(dinp, dweight, dbias, dout, inp, weight, tf32):
    """`linear_backward`, with or without TF32."""
    gemm(dinp, dout, weight, transpose_b=True, tf32=tf32)
    gemm(dweight, inp, dout, transpose_a=True, tf32=tf32)
    sum_rows(dbias, dout)


@kernel
def _fill_rows_kernel(out, row):
    """Each warp fills one row."""
    n = warp_row()
    if n < len(out):
        for m in range(lane(), len(row), WARP):
            out[n, m] = row[m]
