"""Random sizes through every kernel, each array against a page of memory that must not be touched.

    python -m tests.faults.kernels --tries 100000 --seed 0

An array ends where such a page begins, or begins where one ends, and is aligned to its numbers and to nothing
else. Around it there are bytes that mean NaN. A kernel must stay inside, change what it may and nothing else,
and compute, bit for bit, what it computes on arrays that lie anywhere; which must agree with the reference.
The calls run in a process of their own: one that dies is reported with the number of its try.
"""

import argparse
import ctypes
import mmap
import os
import signal
import struct
import sys
import traceback

import numpy as np
from microgpt_kernels import load, reference
from microgpt_kernels.contract import KERNELS

from tests.support import CPU_BACKENDS, INTEGERS, TOLERANCE, Case, arguments, call, widened

SIZES = (1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 41, 48, 63, 64, 65, 97, 130)
WIDTHS = (0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 19, 32, 33)
PAGE = mmap.PAGESIZE
PROT_NONE = 0
BYTE = 0xFF  # four or eight of them are a NaN, or -1


class Fenced:
    """A copy of an array with a forbidden page at its end, or before its beginning."""

    def __init__(self, values, at_end):
        n_pages = 1 + -(-values.nbytes // PAGE)
        self.memory = mmap.mmap(-1, (n_pages + 2) * PAGE)
        self.bytes = np.frombuffer(self.memory, np.uint8)
        for page in (0, n_pages + 1):
            forbid(self.bytes.ctypes.data + page * PAGE)
        begin = (n_pages + 1) * PAGE - values.nbytes if at_end else PAGE
        self.around = (self.bytes[PAGE:begin], self.bytes[begin + values.nbytes : (n_pages + 1) * PAGE])
        for slack in self.around:
            slack[:] = BYTE
        inside = self.bytes[begin : begin + values.nbytes]
        self.array = inside.view(values.dtype).reshape(values.shape)
        self.array[...] = values

    def intact(self):
        return all(bool((slack == BYTE).all()) for slack in self.around)


def forbid(address):
    """No access to the page."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), PROT_NONE) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")


def random_case(rng):
    """Sizes and scalars that the contract allows."""

    def size(most):
        return int(rng.choice([n for n in SIZES if n <= most]))

    T = size(97)
    widths = rng.choice(WIDTHS, rng.integers(1, 9 if T < 64 else 4))
    if widths.sum() == 0:
        widths[0] = 1
    P, S = int(rng.integers(1, 2000)), int(rng.integers(1, 20))
    every = int(rng.integers(1, S + 1))
    V, R = size(130), int(rng.integers(1, 9))
    stride = int(rng.integers(1, T + 1))
    scalars = {
        "stride": stride,
        "start": int(rng.integers(0, T)),
        "every": every,
        "part": int(rng.integers(0, -(-S // every))),
        "into": int(rng.integers(0, S)),
        "other": int(rng.integers(0, S)),
        "clip": float(rng.choice([0.0, 0.5, 1e6])),
        "temperature": float(rng.choice([0.0, 0.3, 1.0, 3.0])),
        "top_k": int(rng.choice([0, 1, 3, V])),
        "top_p": float(rng.choice([1.0, 0.9, 0.3, 0.0])),
    }
    return Case(
        B=int(rng.integers(1, 4)), T=T, widths=tuple(map(int, widths)), V=V, F=size(130), M=size(130),
        P=P, S=S, J=int(rng.integers(1, 9)), R=R, X=int(rng.integers(2, 400)), ordered=bool(rng.integers(2)),
        full=bool(rng.integers(2)), scalars=scalars,
    )  # fmt: skip


def last_rows(kernel, values, rng):
    """The arguments for the last rows of one sequence alone, as in generation; attention saves nothing."""
    if kernel.name == "shift_forward":
        n_inp = int(rng.integers(1, len(values["inp"]) + 1))
        n_out = int(rng.integers(1, n_inp + 1))
        return {"out": values["out"][:n_out], "inp": values["inp"][:n_inp], "n_sequences": 1}
    T = int(np.sqrt(values["att"].shape[2]))
    n_keys = int(rng.integers(1, T + 1))
    n_queries = int(rng.integers(1, n_keys + 1))
    if n_queries == n_keys:  # that is a whole sequence, of n_keys
        values["att"] = values["att"][:, :, : n_keys * n_keys].copy()
    return values | {
        "out": values["out"][:n_queries], "att": values["att"][:1], "qkv": values["qkv"][:n_keys],
    }  # fmt: skip


def describe(seed, number):
    """What a try is, in a line."""
    kernel, backend, dtype, case, share, part, _ = chosen(seed, number)
    shared = f", {' is '.join(share)}" if share else ""
    return f"{backend} {kernel.name} {dtype}{shared}{', last rows' if part else ''}: {case}"


def chosen(seed, number):
    """A try's kernel, backend, dtype, sizes, shared arguments, whether only last rows are computed; rng."""
    rng = np.random.default_rng((seed, number))
    kernel = KERNELS[rng.integers(len(KERNELS))]
    backend, dtype = str(rng.choice(CPU_BACKENDS)), str(rng.choice(list(TOLERANCE)))
    share = kernel.may_share[0] if kernel.may_share and rng.integers(2) else None
    part = kernel.name in ("attention_forward", "shift_forward") and bool(rng.integers(2))
    return kernel, backend, dtype, random_case(rng), share, part, rng


def attempt(seed, number):
    """One call; AssertionError says what is wrong with it."""
    kernel, backend, dtype, case, share, part, rng = chosen(seed, number)
    k = load(backend)
    # apart from what a forward has saved, which is each backend's own, the two are the same
    values, exact = (arguments(kernel, case, dtype, number, each) for each in (k, reference))
    if part:
        values = exact = last_rows(kernel, values, rng)
    function = getattr(k, kernel.name)
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain, fenced = ({} for _ in range(2))
    for name, value in arrays.items():
        plain[name] = value.copy()
        fenced[name] = Fenced(value, bool(rng.integers(2)))
    if share:
        plain[share[0]], fenced[share[0]] = plain[share[1]], fenced[share[1]]
    expected = widened(exact)
    call(kernel, function, values | plain)
    call(kernel, function, values | {name: fence.array for name, fence in fenced.items()})
    call(kernel, getattr(reference, kernel.name), expected)

    given = [v for a in kernel.arguments if a.mode in ("read", "updated", "accumulated", "consumed")
             and (v := arrays[a.name]).dtype.kind == "f"]  # fmt: skip
    scale = max((float(np.nanmax(np.abs(v), initial=0.0)) for v in given), default=0.0)
    for argument in kernel.arguments:
        name, mode = argument.name, argument.mode
        if mode == "scalar":
            continue
        found = fenced[name].array
        assert fenced[name].intact(), f"{name}: written outside of the array"
        if mode == "saved" and part and len(values["out"]) < len(values["qkv"]):
            assert found.tobytes() == arrays[name].tobytes(), f"{name} was changed"
        if mode in ("scratch", "saved", "consumed"):
            continue
        # OpenBLAS copies its factors, or not, by where they lie
        if backend == "crystal" or not kernel.name.startswith("linear"):
            assert found.tobytes() == plain[name].tobytes(), f"{name} depends on where it lies"
        if mode == "read" and not (share and name in share):
            assert found.tobytes() == arrays[name].tobytes(), f"{name} was changed"
        elif mode == "read":
            continue
        elif argument.kind in INTEGERS:
            # a draw may fall between the rounding of float32 and that of float64
            if kernel.name != "sample" or dtype == "float64":
                assert np.array_equal(found, expected[name]), f"{name} is wrong"
        else:
            error = difference(found, expected[name]) / (scale or 1.0)
            largest = float(np.nanmax(np.abs(expected[name]), initial=0.0)) / (scale or 1.0)
            assert error <= 4 * TOLERANCE[dtype] * max(1.0, largest), f"{name} is off by {error:.2g}"


def difference(found, expected):
    """The largest; infinite where one is NaN and the other is not."""
    nowhere = np.isnan(expected)
    if (np.isnan(found) != nowhere).any():
        return np.inf
    return float(np.abs(found.astype(np.float64) - expected)[~nowhere].max(initial=0.0))


def attempts(seed, first, end, progress):
    """The child: tries one after the other; writes down which one it is at, and its failures."""
    n_failures = 0
    for number in range(first, end):
        struct.pack_into("q", progress, 0, number)
        try:
            attempt(seed, number)
        except Exception as error:
            n_failures += 1
            print(f"try {number}: {describe(seed, number)}\n  {error}", file=sys.stderr, flush=True)
            if not isinstance(error, AssertionError):
                traceback.print_exc()
    struct.pack_into("q", progress, 0, end)
    return n_failures


def fuzz(tries, seed, first=0):
    """How many tries fail, by a difference or by a crash."""
    failures, number, end = 0, first, first + tries
    for backend in CPU_BACKENDS:
        load(backend)
    while number < end:
        progress = mmap.mmap(-1, 16)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                struct.pack_into("q", progress, 8, attempts(seed, number, end, progress))
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        at, found = struct.unpack("qq", progress[:])
        failures += found
        if code == 0:
            break
        failures += 1
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        print(f"try {at}: {describe(seed, at)}\n  ended by {how}", file=sys.stderr, flush=True)
        number = at + 1
    return failures


def run(tries, seed, folder):
    """Raises AssertionError; what was done, in a sentence."""
    failures = fuzz(tries, seed)
    assert failures == 0, f"{failures} of {tries} calls failed"
    return f"{tries:,} calls on guard pages, every kernel on both backends"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tries", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first try")
    options = parser.parse_args()
    failures = fuzz(options.tries, options.seed, options.first)
    print(f"{options.tries} tries of seed {options.seed}, {failures} failed")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
