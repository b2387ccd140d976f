"""What the threads of a block do together. A warp is 32 threads that run in step; a block has several."""

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.jit import inlined

WARP = 32
ALL_LANES = 0xFFFFFFFF
THREADS = 128  # in a block, unless a kernel has a reason for another number
WARPS = THREADS // WARP


def blocks(n: int, per_block: int = THREADS) -> int:
    """How many blocks are needed for n threads, or for n items if a block handles `per_block` of them."""
    return -(-n // per_block)


@inlined
def divided(number, by):
    """Quotient and remainder of numbers from 0 to 2^31 - 1: a GPU divides 32 bits far faster than 64."""
    number, by = np.uint32(number), np.uint32(by)
    return np.int64(number // by), np.int64(number % by)


@inlined
def lane():
    """The number of this thread in its warp, 0 to 31."""
    return cuda.threadIdx.x & (WARP - 1)


@inlined
def warp_row():
    """The row that this warp works on, if each warp of all blocks works on a different row."""
    return cuda.blockIdx.x * WARPS + cuda.threadIdx.x // WARP


@inlined
def warp_sum(value):
    """The sum over a warp's values, always added up in the same order; every lane receives it."""
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(ALL_LANES, value, distance)
    return value


@inlined
def warp_max(value):
    """The largest of a warp's values; every lane receives it."""
    for distance in (16, 8, 4, 2, 1):
        other = cuda.shfl_xor_sync(ALL_LANES, value, distance)
        value = other if other > value else value
    return value


@inlined
def block_sum(value, shared):
    """The sum over the values of a block of THREADS threads; every thread receives it.

    shared  (WARPS,)  scratch in shared memory
    """
    value = warp_sum(value)
    cuda.syncthreads()  # some threads may still read the last call's values
    if lane() == 0:
        shared[cuda.threadIdx.x // WARP] = value
    cuda.syncthreads()
    total = shared[0]
    for warp in range(1, WARPS):
        total += shared[warp]
    return total


@inlined
def block_max(value, shared):
    """The largest of the values of a block of THREADS threads; every thread receives it.

    shared  (WARPS,)  scratch in shared memory
    """
    value = warp_max(value)
    cuda.syncthreads()
    if lane() == 0:
        shared[cuda.threadIdx.x // WARP] = value
    cuda.syncthreads()
    highest = shared[0]
    for warp in range(1, WARPS):
        highest = shared[warp] if shared[warp] > highest else highest
    return highest


@inlined
def array_sum(values, shared):
    """The sum of an array by a single block of THREADS threads; every thread receives it.

    shared  (WARPS,)  scratch in shared memory
    """
    total = values.dtype.type(0.0)
    for i in range(cuda.threadIdx.x, len(values), THREADS):
        total += values[i]
    return block_sum(total, shared)
