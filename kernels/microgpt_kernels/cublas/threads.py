"""What the threads of a block do together: a warp is 32 threads that run in step, a block several warps."""

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.jit import inlined

WARP = 32
ALL_LANES = 0xFFFFFFFF
THREADS = 128  # of a block, where a kernel has no reason for another number
WARPS = THREADS // WARP


def blocks(n: int, each: int = THREADS) -> int:
    """How many blocks have n threads, or n other things of which a block has so many."""
    return -(-n // each)


@inlined
def divided(number, by):
    """Quotient and remainder of numbers from 0 to 2^31 - 1, which GPUs divide far faster than longer ones."""
    number, by = np.uint32(number), np.uint32(by)
    return np.int64(number // by), np.int64(number % by)


@inlined
def lane():
    """Which thread of its warp this is."""
    return cuda.threadIdx.x & (WARP - 1)


@inlined
def warp_row():
    """The row that this warp has, where a block of WARPS warps has as many rows."""
    return cuda.blockIdx.x * WARPS + cuda.threadIdx.x // WARP


@inlined
def warp_sum(value):
    """The sum over a warp, in every lane, always added up in the same order."""
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(ALL_LANES, value, distance)
    return value


@inlined
def warp_max(value):
    """The largest of a warp, in every lane."""
    for distance in (16, 8, 4, 2, 1):
        other = cuda.shfl_xor_sync(ALL_LANES, value, distance)
        value = other if other > value else value
    return value


@inlined
def block_sum(value, shared):
    """The sum over a block of THREADS threads, in every thread.

    shared  (WARPS,)  scratch in shared memory
    """
    value = warp_sum(value)
    cuda.syncthreads()  # it may still be read from the last time
    if lane() == 0:
        shared[cuda.threadIdx.x // WARP] = value
    cuda.syncthreads()
    total = shared[0]
    for warp in range(1, WARPS):
        total += shared[warp]
    return total


@inlined
def block_max(value, shared):
    """The largest of a block of THREADS threads, in every thread; `shared` as for `block_sum`."""
    value = warp_max(value)
    cuda.syncthreads()
    if lane() == 0:
        shared[cuda.threadIdx.x // WARP] = value
    cuda.syncthreads()
    highest = shared[0]
    for warp in range(1, WARPS):
        highest = shared[warp] if shared[warp] > highest else highest
    return highest
