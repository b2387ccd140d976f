"""Layer normalisation (Ba et al. 2016)."""

from math import sqrt

from microgpt_kernels.contract import LAYERNORM_EPS
from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.crystal.vector import below_lane, filled, lanes, load, store, sum_lanes


@kernel
def layernorm_forward(out, mean, rstd, inp, weight, bias):
    """Normalises each row to mean 0 and variance 1, then scales it by the weight and adds the bias.

        out = weight * (inp - mean) * rstd + bias,   rstd = 1 / sqrt(avg_C((inp - mean)^2) + eps)

    out           (N, C)  written
    mean, rstd    (N,)    written; saved for the backward pass
    inp           (N, C)  read
    weight, bias  (C,)    read
    """
    N, C = inp.shape
    real = inp.dtype.type  # a literal is float64, and so would be what is computed from it
    inv_C = real(1.0 / C)
    W = lanes(inp)
    scale, shift = weight.reshape(1, C), bias.reshape(1, C)
    for n in range(N):
        sums = filled(0.0, inp)
        for c in range(0, C, W):
            sums += load(inp, n, c, C)
        row_mean = sum_lanes(sums) * inv_C

        # a second pass: the mean of squares minus the square of the mean would cancel
        sums = filled(0.0, inp)
        for c in range(0, C, W):
            d = below_lane(load(inp, n, c, C) - row_mean, C - c, 0.0)
            sums += d * d
        row_rstd = real(1.0) / sqrt(sum_lanes(sums) * inv_C + real(LAYERNORM_EPS))

        mean[n] = row_mean
        rstd[n] = row_rstd
        for c in range(0, C, W):
            xhat = (load(inp, n, c, C) - row_mean) * row_rstd
            store(xhat * load(scale, 0, c, C) + load(shift, 0, c, C), out, n, c, C)


@kernel
def layernorm_backward(dinp, dweight, dbias, dout, inp, weight, mean, rstd):
    """Gradient of `layernorm_forward`, one row at a time.

    With xhat = (inp - mean) * rstd and g = dout * weight:

        dinp     = rstd * (g - avg_C(g) - xhat * avg_C(g * xhat))
        dweight  = sum_N(dout * xhat)
        dbias    = sum_N(dout)

    dinp            (N, C)  written; may share memory with dout
    dweight, dbias  (C,)    written
    dout, inp       (N, C)  read
    weight          (C,)    read
    mean, rstd      (N,)    read, as written by the forward kernel
    """
    N, C = inp.shape
    inv_C = inp.dtype.type(1.0 / C)
    W = lanes(inp)
    scale, dscale, dshift = weight.reshape(1, C), dweight.reshape(1, C), dbias.reshape(1, C)
    for c in range(0, C, W):
        store(filled(0.0, inp), dscale, 0, c, C)
        store(filled(0.0, inp), dshift, 0, c, C)
    for n in range(N):
        row_mean, row_rstd = mean[n], rstd[n]

        # mean and rstd depend on the whole row, so dinp needs two averages over the row first
        g_sums = filled(0.0, inp)
        gx_sums = filled(0.0, inp)
        for c in range(0, C, W):
            xhat = (load(inp, n, c, C) - row_mean) * row_rstd
            d = load(dout, n, c, C)  # 0 beyond the end of the row, and so is every product with it
            g = d * load(scale, 0, c, C)
            g_sums += g
            gx_sums += g * xhat
            store(load(dscale, 0, c, C) + d * xhat, dscale, 0, c, C)
            store(load(dshift, 0, c, C) + d, dshift, 0, c, C)
        g_avg, gx_avg = sum_lanes(g_sums) * inv_C, sum_lanes(gx_sums) * inv_C

        # recomputing xhat is cheaper than saving another (N, C) array in the forward kernel
        for c in range(0, C, W):
            xhat = (load(inp, n, c, C) - row_mean) * row_rstd
            g = load(dout, n, c, C) * load(scale, 0, c, C)
            store((g - g_avg - xhat * gx_avg) * row_rstd, dinp, n, c, C)
