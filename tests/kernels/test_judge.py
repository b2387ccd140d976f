"""The test of the tests: a kernel that is broken in any of these ways is found out."""

from types import SimpleNamespace

import numpy as np
import pytest
from microgpt_kernels import load
from microgpt_kernels.contract import KERNELS, forward_of
from numpy.lib.stride_tricks import as_strided
from support import (
    BY_NAME,
    CASES,
    CPU_BACKENDS,
    GENERATORS,
    SCALARS,
    WRITTEN,
    arguments,
    judge,
    relative_error,
)

CASE, DTYPE = CASES["seven"], "float32"


def zero(array):
    array[...] = 0


def scale(array):
    array[...] = array + 1 if array.dtype.kind == "i" else array * 1.01


def negate(array):
    array[...] = -array


def swap_rows(array):
    """Swap the first row with the first that differs from it."""
    for row in range(1, len(array)):
        if not np.array_equal(array[0], array[row]):
            array[[0, row]] = array[[row, 0]]
            return


def spoil_one(array):
    array.flat[array.size // 2] = np.nan if array.dtype.kind == "f" else -99


def add_to_one(array):
    middle = array.size // 2
    array.reshape(-1)[middle : middle + 1] += 1  # nothing, where there is none


def write_beyond(array):
    as_strided(array, (array.size + 1,), (array.itemsize,))[-1] = 0


DAMAGE = {
    "written": (zero, scale, negate, swap_rows, spoil_one, write_beyond),
    "read": (add_to_one, write_beyond),
    "scratch": (write_beyond,),
    "consumed": (write_beyond,),
}


def with_kernel(backend, kernel, function):
    """The kernels of a backend, with this function in the place of one."""
    k = load(backend)
    return SimpleNamespace(**{name: getattr(k, name) for name in BY_NAME} | {kernel.name: function})


def is_given(kernel, argument):
    """Whether it was saved for this backward kernel, which may do with it what it likes."""
    return argument.mode == "saved" and forward_of(kernel) is not None


def judged_with(kernel, argument):
    """The kernel whose results show what is in an argument: of what a forward saves, its backward."""
    if argument.mode == "saved" and not is_given(kernel, argument):
        return next(backward for backward in KERNELS if forward_of(backward) is kernel)
    return kernel


def damages(kernel, argument):
    """What may not happen to an argument."""
    mode = "scratch" if is_given(kernel, argument) else argument.mode
    return DAMAGE.get(mode, DAMAGE["written"])


def damaged(kernel, function, argument, damage):
    """The kernel with one argument damaged after it has run; and a list of whether anything was."""
    place, happened = kernel.arguments.index(argument), []

    def broken(*values):
        function(*values)
        before = values[place].copy()
        damage(values[place])
        changed = not np.array_equal(values[place], before, equal_nan=before.dtype.kind == "f")
        happened.append(changed or damage is write_beyond)

    return broken, happened


def assert_found(kernel, function, judged, message):
    with pytest.raises(AssertionError, match=message):
        judge(judged, with_kernel("reference", kernel, function), CASE, DTYPE)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_damage_to_any_argument_is_found(backend, kernel):
    function = getattr(load(backend), kernel.name)
    for argument in kernel.arguments:
        if argument.mode == "scalar":
            continue
        n_found, needed = 0, damages(kernel, argument)
        for damage in needed:
            broken, happened = damaged(kernel, function, argument, damage)
            # only the arrays of the kernel that is judged have guards around them
            judged = kernel if damage is write_beyond else judged_with(kernel, argument)
            named = f"{kernel.name}: {argument.name}" if judged is kernel else judged.name
            try:
                judge(judged, with_kernel(backend, kernel, broken), CASE, DTYPE)
            except AssertionError as error:
                assert named in str(error)  # noqa: PT017
                n_found += 1
            else:
                # such as two swapped rows of one, or a zeroed array of zeros
                assert happened == [False], f"{damage.__name__} of {argument.name} was not found"
        assert n_found >= (2 if needed is DAMAGE["written"] else 1)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_a_kernel_that_writes_nothing_is_found(kernel):
    assert_found(kernel, lambda *values: None, kernel, kernel.name)


@pytest.mark.parametrize(
    ("kernel", "argument"),
    [(k, a) for k in KERNELS for a in k.arguments if a.mode == "accumulated"],
    ids=lambda each: each.name,
)
def test_a_kernel_that_overwrites_what_it_should_add_to_is_found(kernel, argument):
    function, place = getattr(load("reference"), kernel.name), kernel.arguments.index(argument)

    def broken(*values):
        values[place][...] = 0
        function(*values)

    assert_found(kernel, broken, kernel, f"{kernel.name}: {argument.name}")


@pytest.mark.parametrize(
    ("kernel", "argument"),
    [(k, a) for k in KERNELS for a in k.arguments if a.mode in WRITTEN and not is_given(k, a)],
    ids=lambda each: each.name,
)
def test_a_kernel_that_adds_to_what_it_should_overwrite_is_found(kernel, argument):
    function, place = getattr(load("reference"), kernel.name), kernel.arguments.index(argument)

    def broken(*values):
        before = values[place].copy()
        function(*values)
        values[place][...] += before

    judged = judged_with(kernel, argument)
    assert_found(
        kernel, broken, judged, f"{kernel.name}: {argument.name}" if judged is kernel else judged.name
    )


def test_an_argument_that_cannot_be_generated_is_an_error(monkeypatch):
    by_name = {kernel.name: kernel for kernel in KERNELS}
    monkeypatch.delitem(GENERATORS, "offsets")
    with pytest.raises(AssertionError, match="attention_forward: no generator for 'offsets' in GENERATORS"):
        arguments(by_name["attention_forward"], CASE, DTYPE)
    monkeypatch.delitem(SCALARS, "clip")
    with pytest.raises(AssertionError, match="adam_step: no scalar 'clip' in SCALARS"):
        arguments(by_name["adam_step"], CASE, DTYPE)


def test_the_relative_error():
    nan = np.nan
    assert relative_error([1.0, 2.0], [1.0, 4.0]) == 0.5
    assert relative_error([0.0, 0.0], [0.0, 0.0]) == 0
    assert relative_error([0.0, 1e-9], [0.0, 0.0]) == np.inf
    assert relative_error([0.0, 1e-9], [0.0, 0.0], scale=0.1) == 1e-8
    assert relative_error([nan, 1.0], [nan, 1.0]) == 0
    assert relative_error([nan, 1.0], [1.0, 1.0]) == np.inf
    assert relative_error([1.0, 1.0], [nan, 1.0]) == np.inf
    assert relative_error([np.inf], [1.0]) == np.inf
    assert relative_error([1.0], [1.0, 1.0]) == np.inf
