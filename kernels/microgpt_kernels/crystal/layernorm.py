"""Layer normalisation (Ba et al. 2016)."""

from math import sqrt

from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.reference import LAYERNORM_EPS


@kernel
def layernorm_forward(out, mean, rstd, inp, weight, bias):
    """Each row with its mean taken off and divided by its deviation, then scaled and shifted.

        out = weight * (inp - mean) * rstd + bias,   rstd = 1 / sqrt(avg_C((inp - mean)^2) + eps)

    out           (N, C)  written
    mean, rstd    (N,)    written; saved for the backward pass
    inp           (N, C)  read
    weight, bias  (C,)    read
    """
    N, C = inp.shape
    real = inp.dtype.type  # literals are float64: without this the row loops run at half the vector width
    inv_C = real(1.0 / C)
    for n in range(N):
        total = real(0.0)
        for c in range(C):
            total += inp[n, c]
        m = total * inv_C

        # a second pass: the mean of squares minus the square of the mean would cancel
        total = real(0.0)
        for c in range(C):
            d = inp[n, c] - m
            total += d * d
        s = real(1.0) / sqrt(total * inv_C + real(LAYERNORM_EPS))

        mean[n] = m
        rstd[n] = s
        for c in range(C):
            out[n, c] = (inp[n, c] - m) * s * weight[c] + bias[c]


@kernel
def layernorm_backward(dinp, dweight, dbias, dout, inp, weight, mean, rstd):
    """Gradient of `layernorm_forward`, one row at a time.

    With xhat = (inp - mean) * rstd and g = dout * weight:

        dinp     = rstd * (g - avg_C(g) - xhat * avg_C(g * xhat))
        dweight = sum_N(dout * xhat)
        dbias   = sum_N(dout)

    dinp            (N, C)  written; may share memory with dout
    dweight, dbias  (C,)    written
    dout, inp       (N, C)  read
    weight          (C,)    read
    mean, rstd      (N,)    read, as saved by the forward
    """
    N, C = inp.shape
    real = inp.dtype.type
    inv_C = real(1.0 / C)
    for c in range(C):
        dweight[c] = real(0.0)
        dbias[c] = real(0.0)
    for n in range(N):
        m, s = mean[n], rstd[n]

        # mean and rstd depend on the whole row, so each dinp needs two averages over it first
        g_sum = real(0.0)
        gx_sum = real(0.0)
        for c in range(C):
            xhat = (inp[n, c] - m) * s
            g = dout[n, c] * weight[c]
            g_sum += g
            gx_sum += g * xhat
            dweight[c] += dout[n, c] * xhat
            dbias[c] += dout[n, c]
        g_avg, gx_avg = g_sum * inv_C, gx_sum * inv_C

        # xhat is recomputed: cheaper than saving another (N, C) array in the forward
        for c in range(C):
            xhat = (inp[n, c] - m) * s
            g = dout[n, c] * weight[c]
            dinp[n, c] = s * (g - g_avg - xhat * gx_avg)
