"""The contract is consistent, every backend keeps it, and one that does not is refused in clear words."""

import re
from types import SimpleNamespace

import microgpt_kernels
import pytest
from microgpt_kernels import BACKENDS, BackendError, contract, load
from microgpt_kernels.contract import (
    KERNELS,
    VERBS,
    differences,
    forward_of,
    read,
    scratch_size,
    shape_of,
)
from support import BY_NAME, CPU_BACKENDS


def every_function(backend):
    return {name: getattr(backend, name) for name in (*BY_NAME, *VERBS)}


# --- the contract ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_arguments_stand_in_the_order_of_the_rules(kernel):
    # what a forward saves stands with what it writes, and what a backward was saved with what it reads
    order = ["written", "accumulated", "updated", "scratch", "consumed", "read", "scalar"]
    order.insert(4 if forward_of(kernel) else 1, "saved")
    modes = [argument.mode.replace("updated", "accumulated") for argument in kernel.arguments]
    assert modes == sorted(modes, key=order.index)
    # among what is read, gradients come first
    reads = [a.name.startswith("d") and a.name != "decay" for a in kernel.arguments if a.mode == "read"]
    assert reads == sorted(reads, reverse=True)


def test_names_are_used_once():
    assert len(BY_NAME) == len(KERNELS)
    for kernel in KERNELS:
        assert len({argument.name for argument in kernel.arguments}) == len(kernel.arguments)
        for pair in kernel.may_share:
            assert set(pair) <= {argument.name for argument in kernel.arguments}


def test_every_backward_has_a_forward_whose_names_and_shapes_it_keeps():
    for kernel in KERNELS:
        forward = forward_of(kernel)
        assert (forward is not None) == kernel.name.endswith("_backward")
        shapes = {a.name: (a.shape, a.kind) for a in forward.arguments} if forward else {}
        for argument in kernel.arguments:
            if argument.name in shapes and argument.mode != "scratch":
                assert (argument.shape, argument.kind) == shapes[argument.name], kernel.name


def test_what_a_forward_saves_has_a_backward_that_gets_it():
    def saved(kernel):
        return {a.name: (a.shape, a.kind) for a in kernel.arguments if a.mode == "saved"}

    backwards = {forward_of(kernel): kernel for kernel in KERNELS if forward_of(kernel)}
    for kernel in KERNELS:
        if saved(kernel):
            forward = forward_of(kernel) or kernel
            assert saved(forward) == saved(backwards[forward]), kernel.name


def test_shape_of():
    sizes = {"N": 6, "C": 5, "H": 2, "T": 3, "V": 7}
    assert shape_of("N 3C", sizes) == (6, 15)
    assert shape_of("H+1", sizes) == (3,)
    assert shape_of("2*T*T+V", sizes) == (25,)
    assert shape_of("1", sizes) == (1,)
    assert shape_of("", sizes) == ()


def test_scratch_is_enough_for_the_kernel_that_needs_the_most():
    assert scratch_size({"T": 4, "C": 6, "V": 5}, [(6, 18), (18, 6)]) == 6 * 4 * 6 + 32 * 4  # attention's
    assert scratch_size({"T": 4, "C": 6, "V": 5}, [(6, 18), (6, 100)]) == 6 * 100  # a linear map's
    assert scratch_size({"T": 1, "C": 1, "V": 500}, [(1, 500)]) == 2 * 500  # for drawing a character


def test_costs_speak_of_arguments_and_letters_that_there_are():
    for entry in KERNELS:
        shapes = " ".join(argument.shape for argument in entry.arguments)
        costs = entry.products
        if costs is not None:
            assert set(re.findall("[A-Z]", costs.sizes + costs.multiplications)) <= set(shapes), entry.name
    with pytest.raises(ValueError, match="relu_forward has no argument weight"):
        contract.kernel("relu_forward", read(inp="N F"), needs={"weight": 0})


# --- the backends ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reference", *CPU_BACKENDS])
def test_every_backend_keeps_the_contract(name):
    assert differences(load(name)) == []


@pytest.mark.parametrize("name", [*BY_NAME, *VERBS])
def test_a_missing_function_is_noticed(name):
    functions = every_function(load("crystal"))
    del functions[name]
    assert differences(SimpleNamespace(**functions)) == [f"{name} is missing"]


def test_a_wrong_argument_list_is_noticed():
    functions = every_function(load("reference"))
    functions["relu_forward"] = lambda inp, out: None
    functions["shard_sum"] = lambda: None
    assert differences(SimpleNamespace(**functions)) == [
        "relu_forward(inp, out) should be relu_forward(out, inp)",
        "shard_sum() should be shard_sum(out, shards, bounds, every, part)",
    ]


# --- loading --------------------------------------------------------------------------------------


def test_an_unknown_backend_is_refused():
    with pytest.raises(BackendError) as error:
        load("crystall")
    assert str(error.value) == f"there is no backend 'crystall'; there are {', '.join(BACKENDS)}"


def test_cublas_runs_or_says_why_not():
    try:
        backend = load("cublas")
    except BackendError as error:
        message = str(error)
        assert "cublas" in message
        assert "\n" not in message
        assert re.search("use crystal|install|driver|GPU", message), "there is no way out in it"
    else:
        assert backend.__name__ == "microgpt_kernels.cublas"


@pytest.fixture
def import_fails(monkeypatch):
    def with_error(error):
        def fail(name):
            raise error

        monkeypatch.setattr(microgpt_kernels.loading.importlib, "import_module", fail)

    return with_error


def test_a_missing_package_is_named(import_fails):
    import_fails(ModuleNotFoundError("No module named 'scipy'", name="scipy"))
    with pytest.raises(BackendError) as error:
        load("openblas")
    assert str(error.value) == "the backend 'openblas' needs the package 'scipy': pip install scipy"


def test_a_backend_that_breaks_the_contract_is_refused(monkeypatch):
    backend = load("reference")
    monkeypatch.delattr(backend, "shard_sum")
    with pytest.raises(BackendError, match="'reference' does not keep the contract: shard_sum is missing"):
        load("reference")
