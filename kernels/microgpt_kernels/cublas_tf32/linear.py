"""The linear map by cuBLAS in TF32, and the gradients of its input, weight and bias."""

from microgpt_kernels.cublas.linear import backward, forward


def linear_forward(out, inp, weight, bias):
    """out = inp @ weight + bias

    out     (N, M)  written
    inp     (N, K)  read
    weight  (K, M)  read
    bias    (M,)    read
    """
    forward(out, inp, weight, bias, tf32=True)


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
    backward(dinp, dweight, dbias, dout, inp, weight, tf32=True)
