"""The GPU kernels' machine code: it takes no GPU to compile it and to look at it."""

import functools
import re

import numpy as np
import pytest
from gpu import SIMULATED, Hosted, device, gpu_backend
from microgpt_kernels.contract import KERNELS
from support import CASES, Case, arguments, call

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs the package numba-cuda")
pytest.importorskip("cuda.core", reason="compiling for a GPU needs the package cuda-core")

CAPABILITIES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]
# of a thread: a multiprocessor has 65,536, so that 6 blocks of attention's 64 threads fit, or 5 in float64
MOST_REGISTERS = {"float32": 168, "float64": 200}
# sums that take several parts, and all the kinds of ids
LARGE = Case(B=3, T=800, widths=(3, 1), V=3, F=2, M=2, P=5000, X=9000)


@pytest.fixture(scope="module")
def kernels():
    """Every kernel with every combination of types that a run can ask for."""
    from microgpt_kernels.cublas import jit

    asked = set()
    with pytest.MonkeyPatch.context() as patch:
        k = gpu_backend(SIMULATED, patch)
        patch.setattr(
            jit, "cubin", lambda kernel, types, capability: asked.add((kernel, types)) or (kernel, types)
        )
        device().rehearsing = True
        hosted = Hosted(k)
        for dtype in ("float32", "float64"):
            for case in (CASES["three"], CASES["seven"], LARGE):
                for kernel in KERNELS:
                    values = arguments(kernel, case, dtype)
                    call(kernel, getattr(hosted, kernel.name), values)
                    if kernel.name == "batch_fill":
                        for kind in (np.uint16, np.uint32):
                            ids = values["ids"].astype(kind)
                            call(kernel, hosted.batch_fill, values | {"ids": ids})
            # generation, whose queries are fewer than the keys
            out, att, qkv = (np.zeros(shape, dtype) for shape in ((1, 4), (1, 2, 9), (3, 12)))
            offsets, scales = np.array([0, 1, 4], np.int32), np.ones(2, dtype)
            hosted.attention_forward(out, att, out, qkv, offsets, scales)
    return sorted(asked, key=lambda pair: (pair[0].name, pair[1]))


@functools.cache
def ptx(kernel, types, capability):
    """What several tests look at."""
    from microgpt_kernels.cublas import jit

    return jit.ptx(kernel, types, capability)


def test_all_kernels_are_here(kernels):
    """Or the tests below would look at some of them only."""
    import sys

    from microgpt_kernels.cublas.jit import Kernel

    modules = [module for name, module in sys.modules.items() if name.startswith("microgpt_kernels.cublas.")]
    defined = {
        value.name for module in modules for value in vars(module).values() if isinstance(value, Kernel)
    }
    assert {kernel.name for kernel, _ in kernels} == defined
    assert len(defined) > 25


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda pair: "{}.{}".format(*pair))
def test_every_kernel_compiles_to_code_that_wastes_nothing(kernels, capability):
    from microgpt_kernels.cublas import jit

    for kernel, types in kernels:
        name = f"{kernel.name}({', '.join(types)})"
        text = ptx(kernel, types, capability)
        binary, report = jit.link(kernel.name, text, capability, report=True)
        assert binary.startswith(b"\x7fELF"), name
        # a number as Python writes it, and `int / int`, are float64: slow, and 64 times so on most GPUs
        doubled = any("float64" in each for each in types)
        assert doubled or ".f64" not in text, f"{name} computes in float64"
        # they would add up in an order of chance
        assert not re.search(r"\b(atom|red)\.", text), f"{name} has an atomic operation"
        stack = re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report
        )
        assert stack.groups() == ("0", "0", "0"), f"{name} spills registers into memory: {stack[0]}"
        n_registers = int(re.search(r"Used (\d+) registers", report)[1])
        assert n_registers <= MOST_REGISTERS["float64" if doubled else "float32"], (
            f"{name}: {n_registers} registers"
        )


def test_arguments_are_packed_as_the_machine_code_expects(kernels):
    """numba.cuda's way to pass an array is nowhere documented: eight bytes for each of these numbers."""
    from microgpt_kernels.cublas import jit
    from microgpt_kernels.cublas.array import Array

    sizes = {"u64": 8, "s64": 8, "b64": 8, "f64": 8, "f32": 4, "b32": 4, "u32": 4, "s32": 4}
    for kernel, types in kernels:
        values = []
        for spelled in types:
            name, _, rest = spelled.partition("[")
            number = 1 if name == "int64" else np.dtype(name).type(1)
            values.append(Array(None, None, 4096, (2,) * int(rest[:-1]), name) if rest else number)
        text = ptx(kernel, types, (9, 0))
        head = text[text.index(".visible .entry") : text.index("{")]
        expected = [sizes[kind] for kind in re.findall(r"\.param \.(?:align \d+ \.)?(\w+)", head)]
        packed = jit.packed(tuple(values))
        assert [4 if isinstance(each, np.float32) else 8 for each in packed] == expected, kernel.name


def test_the_inner_loops_of_attention_multiply(kernels):
    """Its products would wait for other instructions otherwise, and for memory."""
    names = {"_attention_forward_kernel": 2, "_attention_backward_kernel": 2, "_weigh_queries_kernel": 1}
    for kernel, types in kernels:
        if kernel.name not in names or "float32[1]" not in types:
            continue
        for capability in CAPABILITIES:
            text = ptx(kernel, types, capability)
            blocks = re.split(r"^\$L\w+:$", text, flags=re.MULTILINE)
            products = [block for block in blocks if block.count("fma.rn.f32") >= 64]
            assert len(products) == names[kernel.name]
            for block in products:
                # four depths of both tiles: 8 reads of four numbers each, of which the compiler may split one
                assert block.count("fma.rn.f32") == 64
                assert len(re.findall(r"ld\.shared\.v4\.[fb]32", block)) >= 7
                assert block.count("ld.shared") <= 10
                n_instructions = len(re.findall(r";$", block, re.MULTILINE))
                assert n_instructions <= 1.5 * 64, f"{kernel.name}: {n_instructions} instructions"
            # tiles are loaded without a loop: 16 numbers a thread, two tiles a product
            assert text.count("ld.global.f32") + text.count("ld.global.b32") >= 32 * len(products)


def test_only_tests_ask_the_linker_for_a_report(kernels, monkeypatch):
    """A driver's own linker, which takes the place of a missing package, refuses the option for it."""
    import cuda.core
    from microgpt_kernels.cublas import jit

    asked, options = [], cuda.core.LinkerOptions
    monkeypatch.setattr(cuda.core, "LinkerOptions", lambda **given: asked.append(given) or options(**given))
    kernel, types = kernels[0]
    text = ptx(kernel, types, (9, 0))
    silent, nothing = jit.link(kernel.name, text, (9, 0))
    loud, report = jit.link(kernel.name, text, (9, 0), report=True)
    assert [given["ptxas_options"] for given in asked] == [None, ["-v"]]
    assert silent.startswith(b"\x7fELF")
    assert loud.startswith(b"\x7fELF")
    assert "registers" in report
    assert "registers" not in (nothing or "")


def test_machine_code_is_kept(kernels, tmp_path, monkeypatch, capsys):
    from microgpt_kernels.cache.reports import n_compiled
    from microgpt_kernels.cublas import jit

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    jit._store.cache_clear()
    try:
        kernel, types = kernels[0]
        before = n_compiled()
        jit.cubin(kernel, types, (8, 0))
        (file,) = tmp_path.rglob("*.code")
        file.write_bytes(file.read_bytes()[:-1])
        again = jit.cubin(kernel, types, (8, 0))
        assert "held damaged machine code" in capsys.readouterr().err
        assert n_compiled() == before + 2
        monkeypatch.setattr(jit, "ptx", lambda *arguments: pytest.fail("compiled again"))
        jit._store.cache_clear()
        assert jit.cubin(kernel, types, (8, 0)) == again
        with pytest.raises(pytest.fail.Exception):
            jit.cubin(kernel, types, (9, 0))
    finally:
        jit._store.cache_clear()
