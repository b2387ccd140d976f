"""The kernels' machine code for other processors than this machine's, and the loops in it.

`python machine_code.py TARGET...` prints it as JSON, {target: {"gemm-float32": assembly}}. The targets of one
call must have the same vector registers, because the kernels are written for one kind in each process.

Numba returns LLVM code before optimisation. Here it goes through the same optimisations as in Numba, but for
the target instead of this machine.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# name: (triple, processor, features)
TARGETS = {
    "M1": ("arm64-apple-macosx", "apple-m1", ""),
    "Graviton": ("aarch64-unknown-linux-gnu", "neoverse-n1", ""),
    "SSE": ("x86_64-unknown-linux-gnu", "x86-64-v2", "+sse4.2"),
    "AVX2": ("x86_64-unknown-linux-gnu", "x86-64-v3", "+avx2,+fma"),
    "AVX-512": ("x86_64-unknown-linux-gnu", "x86-64-v4", "+avx512f,+avx512vl,+avx512dq,+fma"),
}
ALIKE = (("M1", "Graviton"), ("SSE",), ("AVX2",), ("AVX-512",))


@functools.cache
def compiled(targets: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """The assembly of all kernels for targets with the same vector registers, made by a new process."""
    here = Path(__file__).resolve()
    paths = (here.parent, here.parents[1], here.parents[1] / "kernels")
    child = subprocess.run(
        [sys.executable, here, *targets],
        env=os.environ
        | {"NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


def assembly(target: str) -> dict[str, str]:
    """{"gemm-float32": ...} of one target."""
    return compiled(next(targets for targets in ALIKE if target in targets))[target]


@dataclass(frozen=True)
class Loop:
    """The lines of an innermost loop: from a label to the last jump back to it."""

    lines: tuple[str, ...]
    frame: str  # a pattern that addresses on the stack match

    def count(self, pattern: str) -> int:
        return sum(bool(re.match(pattern, line)) for line in self.lines)

    @property
    def multiplications(self) -> int:
        """Those of vectors, fused with an addition or not."""
        return self.count(FUSED) + self.count(r"v?mulp[sd]\s|fmul(\.\d[sd])?\s+v")

    @property
    def fused(self) -> int:
        return self.count(FUSED)

    @property
    def straight(self) -> bool:
        """Whether nothing in it branches, as a masked load does in each lane where there are no masks."""
        return not any(re.match(r"[\w.$]+:", line) for line in self.lines[1:])

    @property
    def widened(self) -> list[str]:
        """Conversions from float32 to float64."""
        return [line for line in self.lines if re.match(r"v?cvt[sp]s2[sp]d|fcvtl|fcvt\s+d\d+, s", line)]

    @property
    def spilled(self) -> list[str]:
        """Vectors that are kept on the stack, because there are not enough registers."""
        vectors = r"%[xyz]mm|\s[qdv]\d+"
        return [line for line in self.lines if re.search(self.frame, line) and re.search(vectors, line)]

    @property
    def vectors(self) -> set[str]:
        """The kinds of vectors that are multiplied: zmm, ymm, xmm, or 4s and 2d on ARM."""
        multiplied = [
            line for line in self.lines if re.match(FUSED + r"|v?mulp[sd]|fmul(\.\d[sd])?\s+v", line)
        ]
        return {kind for line in multiplied for kind in re.findall(r"[xyz]mm|(?<=\.)(?:4s|2d)", line)[:1]}


FUSED = r"vfn?m(?:add|sub)\d+p[sd]\s|fml[as](?:\.\d[sd])?\s+v"


def calls(text: str) -> set[str]:
    """The names of all functions that assembly calls."""
    return {name.lstrip("_") for name in re.findall(r"(?m)^\s+(?:callq?|bl)\s+([\w.$]+)", text)}


def loops(text: str) -> list[Loop]:
    """The innermost loops of assembly, by the order of its lines."""
    lines = [re.sub(r"\s*(;|//|#\s|##).*$", "", line).strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    labels = {match[1]: i for i, line in enumerate(lines) if (match := re.match(r"([\w.$]+):", line))}
    last: dict[int, int] = {}
    for i, line in enumerate(lines):
        jump = re.match(r"(?:j\w+|b|b\.\w+|cbn?z|tbn?z)\s.*?([\w.$]+)$", line)
        if jump and labels.get(jump[1], i + 1) <= i:
            last[labels[jump[1]]] = i
    innermost = [
        (first, end) for first, end in last.items() if not any(first < f <= e <= end for f, e in last.items())
    ]
    # only some functions use a register for the frame
    pointer = re.search(r"movq\s+%rsp, %rbp|(mov|add)\s+x29, sp", text)
    frame = r"\(%r[sb]p|\[(sp|x29)\b" if pointer else r"\(%rsp|\[sp\b"
    return [Loop(tuple(lines[first : end + 1]), frame) for first, end in sorted(innermost)]


def main(names: list[str]) -> None:
    from llvmlite import binding
    from numba import njit, typeof, types
    from numba.core.llvm_bindings import create_pass_builder
    from numba.core.registry import cpu_target

    # the kernels ask Numba for its target machine, and get this target instead
    codegen = cpu_target.target_context.codegen()
    triple, cpu, features = TARGETS[names[0]]
    codegen.magic_tuple = lambda: (triple, cpu, features)
    add_module = codegen._add_module

    def add_copy(module):
        """Gives Numba a copy to compile for this machine, so that the module itself is not changed."""
        copy = module.clone()
        vars(copy).update({name: value for name, value in vars(module).items() if name.endswith("__library")})
        return add_module(copy)

    codegen._add_module = add_copy

    from microgpt_kernels import load
    from microgpt_kernels.contract import KERNELS
    from microgpt_kernels.crystal.gemm import _panels, _signature
    from microgpt_kernels.crystal.jit import OPTIONS
    from support import CASES, arguments

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    k, functions = load("crystal"), {}
    for dtype in ("float32", "float64"):
        for kernel in KERNELS:
            values = arguments(kernel, CASES["seven"], dtype)
            signature = tuple(typeof(values[a.name]) for a in kernel.arguments)
            functions[f"{kernel.name}-{dtype}"] = getattr(k, kernel.name).py_func, signature
        functions[f"gemm-{dtype}"] = _panels, _signature(getattr(types, dtype)).args

    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for function, (python, signature) in functions.items():
        fresh = njit(**OPTIONS, no_cpython_wrapper=True)(python)
        fresh.compile(signature)
        (llvm,) = fresh.inspect_llvm().values()
        for name in names:
            triple, cpu, features = TARGETS[name]
            machine = binding.Target.from_triple(triple).create_target_machine(
                cpu=cpu, features=features, opt=3, reloc="pic", codemodel="default"
            )
            lines = re.sub(r"(?m)^target .*$", "", llvm)
            module = binding.parse_assembly(
                f'target triple = "{triple}"\ntarget datalayout = "{machine.target_data}"\n{lines}'
            )
            for level in (0, 3):
                builder = create_pass_builder(machine, opt=level, loop_vectorize=level == 3)
                passes = builder.getModulePassManager()
                if level == 0:
                    passes.add_loop_rotate_pass()
                    passes.add_instruction_combine_pass()
                    passes.add_jump_threading_pass()
                passes.run(module, builder)
            found[name][function] = machine.emit_assembly(module)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
