"""Layer normalisation (Ba et al. 2016)."""

from math import sqrt

from microgpt_kernels.contract import LAYERNORM_EPS
from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.crystal.vector import below_lane, filled, lanes, load, store, sum_lanes


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
    real = inp.dtype.type  # literals are float64, and so would be what is computed from them
    inv_C = real(1.0 / C)
    L = lanes(inp)
    scale, shift = weight.reshape(1, C), bias.reshape(1, C)
    for n in range(N):
        sums = filled(0.0, inp)
        for c in range(0, C, L):
            sums += load(inp, n, c, C - c)
        m = sum_lanes(sums) * inv_C

        # a second pass: the mean of squares minus the square of the mean would cancel
        sums = filled(0.0, inp)
        for c in range(0, C, L):
            d = below_lane(load(inp, n, c, C - c) - m, C - c, 0.0)
            sums += d * d
        s = real(1.0) / sqrt(sum_lanes(sums) * inv_C + real(LAYERNORM_EPS))

        mean[n] = m
        rstd[n] = s
        for c in range(0, C, L):
            xhat = (load(inp, n, c, C - c) - m) * s
            store(xhat * load(scale, 0, c, C - c) + load(shift, 0, c, C - c), out, n, c, C - c)


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
    inv_C = inp.dtype.type(1.0 / C)
    L = lanes(inp)
    scale, dscale, dshift = weight.reshape(1, C), dweight.reshape(1, C), dbias.reshape(1, C)
    for c in range(0, C, L):
        store(filled(0.0, inp), dscale, 0, c, C - c)
        store(filled(0.0, inp), dshift, 0, c, C - c)
    for n in range(N):
        m, s = mean[n], rstd[n]

        # mean and rstd depend on the whole row, so each dinp needs two averages over it first
        g_sums = filled(0.0, inp)
        gx_sums = filled(0.0, inp)
        for c in range(0, C, L):
            xhat = (load(inp, n, c, C - c) - m) * s
            d = load(dout, n, c, C - c)  # 0 beyond the row, as is all that it is a factor of
            g = d * load(scale, 0, c, C - c)
            g_sums += g
            gx_sums += g * xhat
            store(load(dscale, 0, c, C - c) + d * xhat, dscale, 0, c, C - c)
            store(load(dshift, 0, c, C - c) + d, dshift, 0, c, C - c)
        g_avg, gx_avg = sum_lanes(g_sums) * inv_C, sum_lanes(gx_sums) * inv_C

        # xhat is recomputed: cheaper than saving another (N, C) array in the forward
        for c in range(0, C, L):
            xhat = (load(inp, n, c, C - c) - m) * s
            g = load(dout, n, c, C - c) * load(scale, 0, c, C - c)
            store((g - g_avg - xhat * gx_avg) * s, dinp, n, c, C - c)
