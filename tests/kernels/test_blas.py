"""How the GPU backend speaks to cuBLAS: on a stand-in that multiplies, and with the library itself."""

import ctypes
import functools
import types
from pathlib import Path

import numpy as np
import pytest
from gpu import build
from microgpt_kernels import BackendError, status

pytest.importorskip("numba_cuda", reason="the GPU backend needs the package numba-cuda")
pathfinder = pytest.importorskip("cuda.pathfinder", reason="cuda-pathfinder is not installed")

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The stand-in."""
    return ctypes.CDLL(build(TESTS / "stand_in_cublas.c", tmp_path_factory.mktemp("cublas") / "libcublas.so"))


@pytest.fixture
def blas(library):
    from microgpt_kernels.cublas.blas import Cublas

    return Cublas(library)


def on_host(values, device):
    """A NumPy array as one of the backend's."""
    from microgpt_kernels.cublas.array import Array

    return Array(device, values, values.ctypes.data, values.shape, values.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_products_are_those_of_numpy(blas, dtype, accumulate, transpose_a, transpose_b):
    from microgpt_kernels.cublas.device import Device
    from microgpt_kernels.cublas.gemm import gemm

    device = types.SimpleNamespace(blas=blas, rehearsing=False, n_asked=0)
    device.multiply = functools.partial(Device.multiply, device)
    rng = np.random.default_rng(0)
    N, K, M = 2, 4, 3
    a = rng.normal(size=(K, N) if transpose_a else (N, K)).astype(dtype)
    b = rng.normal(size=(M, K) if transpose_b else (K, M)).astype(dtype)
    out = rng.normal(size=(N, M)).astype(dtype) if accumulate else np.full((N, M), np.nan, dtype)
    expected = (out if accumulate else 0) + (a.T if transpose_a else a) @ (b.T if transpose_b else b)
    arrays = (on_host(values, device) for values in (out, a, b))
    gemm(*arrays, transpose_a=transpose_a, transpose_b=transpose_b, accumulate=accumulate)
    np.testing.assert_allclose(out, expected, rtol=1e-5)
    assert device.n_asked == 1
    device.rehearsing = True  # nothing is asked for then
    before = out.copy()
    gemm(
        *(on_host(values, device) for values in (out, a, b)), transpose_a=transpose_a, transpose_b=transpose_b
    )
    np.testing.assert_array_equal(out, before)


def test_numbers_of_64_bits_arrive_whole(blas, library):
    library.chosen_stream.restype = library.chosen_workspace_bytes.restype = ctypes.c_size_t
    blas.set_stream(3 << 40)
    assert library.chosen_stream() == 3 << 40
    blas.set_workspace(1 << 40, 1 << 33)
    assert library.chosen_workspace_bytes() == 1 << 33
    # no rows of 2^31 columns: in 32 bits, that number would be negative
    one = ctypes.c_float(1.0)
    place = ctypes.addressof(one)
    blas.gemm(np.dtype("float32"), 0, 0, 0, 1 << 31, 1, place, 1, place, 1, False, place, 1)
    assert blas.version() == 130100


def test_what_fails_is_said_in_cublass_words(blas):
    with pytest.raises(BackendError) as error:
        blas.set_math_mode(99)
    assert str(error.value) == (
        "cuBLAS fails in cublasSetMathMode with status 15: the requested functionality is not supported"
    )


def test_cublas_itself_has_these_functions_and_answers():
    """Without a GPU it says that it cannot start, which is as far as a machine without one gets."""
    from microgpt_kernels.cublas.blas import load

    try:
        pathfinder.load_nvidia_dynamic_lib("cublas")
    except pathfinder.DynamicLibNotFoundError as error:
        pytest.skip(f"cuBLAS is not installed: {error}")
    if status("cublas").usable:
        assert load().version() >= 120000
    else:
        with pytest.raises(
            BackendError, match="cuBLAS fails in cublasCreate_v2 with status 1: the library was"
        ):
            load()
