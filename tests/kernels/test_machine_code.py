"""The kernels' machine code for other processors: it takes none of them to compile it and to look at it."""

import re

import pytest
from machine_code import ALIKE, TARGETS, Loop, assembly, calls, loops
from microgpt_kernels.contract import KERNELS
from microgpt_kernels.crystal.jit import MACHINE, machine, target
from support import TOLERANCE

# the sums that a tile holds in registers: of 32 registers 16, of 16 twelve
SUMS = {"M1": 16, "Graviton": 16, "SSE": 12, "AVX2": 12, "AVX-512": 16}
VECTORS = {"M1": "4s 2d", "Graviton": "4s 2d", "SSE": "xmm", "AVX2": "ymm", "AVX-512": "zmm"}
# once in a call, or once in a row; a log of each number in the one row that `interpolate` has in a step
LIBRARY = {"pow", "log", "logf", "memset", "memcpy", "memmove", "bzero", "numba_attempt_nocopy_reshape"}


@pytest.mark.parametrize(
    ("triple", "features", "expected"),
    [
        ("arm64-apple-darwin23.6.0", "", (16, 32)),
        ("aarch64-unknown-linux-gnu", "+neon,+sve,+sve2", (16, 32)),
        ("x86_64-unknown-linux-gnu", "+sse4.2,-avx,-avx2,-avx512f", (16, 16)),
        ("x86_64-apple-darwin", "", (16, 16)),
        ("x86_64-pc-windows-msvc", "+avx,+avx2,-avx512f", (32, 16)),
        ("x86_64-unknown-linux-gnu", "+avx,+avx2,+avx512f,-avx512vp2intersect", (64, 32)),
    ],
)
def test_a_machine_has_the_vectors_that_its_features_say(triple, features, expected):
    assert machine(triple, features) == expected


def test_vectors_are_those_of_what_numba_compiles_for():
    assert machine(*target()) == MACHINE


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", TARGETS)
def test_the_tiles_of_a_product_stay_in_registers(name, dtype):
    products = [loop for loop in loops(assembly(name)[f"gemm-{dtype}"]) if loop.multiplications]
    straight = [loop for loop in products if loop.straight]
    assert max(loop.multiplications for loop in straight) == SUMS[name]
    for loop in straight:
        assert not loop.spilled, loop
        assert loop.fused == (0 if name == "SSE" else loop.multiplications), loop
        (kind,) = loop.vectors
        assert kind in VECTORS[name].split(), loop


@pytest.mark.parametrize("name", TARGETS)
def test_every_kernel_compiles_to_code_that_wastes_nothing(name):
    code = assembly(name)
    assert len(code) == len(TOLERANCE) * (len(KERNELS) + 1)
    for function, text in code.items():
        foreign = {called for called in calls(text) if "microgpt_" not in called}
        # a fused multiplication would be a call where there is no instruction for it
        assert foreign <= LIBRARY, function
        for loop in loops(text):
            if loop.multiplications and loop.straight:
                # measured: constants of Adam on sixteen registers, five of 44 instructions
                assert len(loop.spilled) <= 5, (function, loop)
                assert "float64" in function or not loop.widened, (function, loop)


def test_all_targets_are_compiled():
    assert sorted(sum(ALIKE, ())) == sorted(TARGETS)


# --- the reader of assembly -----------------------------------------------------------------------

X86 = """
f:
    pushq %rbx
.LBB0_1:                                # =>This Loop
    movq %rax, %rcx
.LBB0_2:                                # =>  This Inner Loop
    vmovups 32(%rsp), %zmm3             # 64-byte Reload
    vfmadd231ps (%rdi,%rax), %zmm3, %zmm0
    vfmadd231ps %zmm1, %zmm3, %zmm2
    vcvtps2pd %ymm0, %zmm5
    movq 8(%rsp), %rdx
    callq fmaf@PLT
    jne .LBB0_2
    jmp .LBB0_1
    jmp .LBB0_3
.LBB0_3:
    retq
"""
ARM = """
_f:
LBB0_7:                                 ; =>This Inner Loop
    ldr q24, [sp, #16]                  ; 16-byte Folded Reload
    str x3, [sp, #32]
    fmla.4s v0, v24, v26
    fmla v16.4s, v24.4s, v26.s[0]
    fcvtl v1.2d, v2.2s
    bl _fmaf
    subs x14, x14, #1
    b.ne LBB0_7
    b LBB0_8
LBB0_8:
    ret
"""


@pytest.mark.parametrize(("text", "kind"), [(X86, "zmm"), (ARM, "4s")])
def test_assembly_is_read_as_it_is_meant(text, kind):
    (loop,) = loops(text)
    assert (loop.multiplications, loop.fused, loop.vectors) == (2, 2, {kind})
    assert (len(loop.spilled), len(loop.widened), loop.straight) == (1, 1, True)
    assert calls(text) == {"fmaf"}


def test_a_branch_inside_a_loop_is_seen():
    assert not Loop((".L1:", "jne .L2", ".L2:", "jne .L1"), r"\(%rsp").straight
    text = re.sub("movq 8.*", ".LBB0_9:", X86)
    assert not loops(text)[0].straight
