"""The matrix product by cuBLAS. Only this file knows that BLAS is column-major."""

from microgpt_kernels.cublas.blas import DEFAULT_MATH, NO_TRANSPOSE, TF32_MATH, TRANSPOSE


def gemm(out, a, b, transpose_a=False, transpose_b=False, accumulate=False, tf32=False):
    """out = op(a) @ op(b), where op transposes or does nothing; with `accumulate`, out += op(a) @ op(b).

    out   (N, M)            written or accumulated
    a     (N, K) or (K, N)  read
    b     (K, M) or (M, K)  read
    tf32  whether float32 factors may be rounded to 10 bits of mantissa, for tensor cores
    """
    N, M = out.shape
    K = a.shape[0] if transpose_a else a.shape[1]
    # BLAS sees a row-major array as its transpose, so it is asked for out.T = op(b).T @ op(a).T
    out.device.multiply(
        TF32_MATH if tf32 else DEFAULT_MATH, out.dtype,
        TRANSPOSE if transpose_b else NO_TRANSPOSE, TRANSPOSE if transpose_a else NO_TRANSPOSE,
        M, N, K, b.pointer, b.shape[1], a.pointer, a.shape[1], accumulate, out.pointer, M,
    )  # fmt: skip
