"""The tour: its code prints what it shows; the kernel and the instructions in it are real."""

import contextlib
import io
import re
from code import InteractiveConsole
from pathlib import Path

import pytest
from machine_code import assembly, loops

ROOT = Path(__file__).resolve().parents[1]
TOUR = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
SHOWN = "# > "
REGISTERS = {"AVX2": "ymm", "M1": "4s"}


def blocks(text, opening):
    """The contents of the fenced blocks whose first line says exactly this after its backticks."""
    return re.findall(rf"^```{re.escape(opening)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def differences(text):
    """[(block, what it printed)] of the blocks that print something else than they show, errors included.

    All blocks are typed into one Python session, line by line, as a reader pastes them: an `if` or a `for`
    ends with an empty line, and an expression prints its value.
    """
    session = InteractiveConsole()
    wrong = []
    for block in blocks(text, "python"):
        lines = block.splitlines()
        shown = [line.removeprefix(SHOWN) for line in lines if line.startswith(SHOWN)]
        typed = [line for line in lines if not line.startswith(SHOWN)]
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            for line in [*typed, ""]:
                unfinished = session.push(line)
        if unfinished or output.getvalue().splitlines() != shown:
            wrong.append((block, output.getvalue()))
    return wrong


def instructions(target):
    """The names of the machine instructions on vectors that the tour shows for a processor."""
    rows = [line.split("|") for line in TOUR.splitlines() if line.startswith("| ")]
    header = next(cells for cells in rows if f" {target} " in cells)
    column, width = header.index(f" {target} "), len(header)
    names = set()
    for cells in rows[rows.index(header) + 1 :]:
        if len(cells) != width:
            break
        names |= set(re.findall("`(.*?)`", cells[column]))
    for block in blocks(TOUR, f"asm {target}"):
        names |= set(re.findall(r"^ +(v\S+)", block, re.MULTILINE))
    return names


def test_every_block_of_the_tour_prints_what_it_shows():
    assert len(blocks(TOUR, "python")) > 20
    assert differences(TOUR) == []


@pytest.mark.parametrize("shown", ["# > 0.26", "# > 0.250", ""])
def test_a_number_that_is_not_the_one_shown_is_found(shown):
    assert differences("```python\nprint(0.25)\n# > 0.25\n```\n") == []
    assert differences(f"```python\nprint(0.25)\n{shown}\n```\n")


@pytest.mark.parametrize("code", ["1 / 0", "print(1", "for i in ():\n    pass\ni = 0"])
def test_code_that_a_session_does_not_take_is_found(code):
    assert differences(f"```python\n{code}\n```\n")


def test_the_kernel_in_the_tour_is_that_of_the_sources():
    (excerpt,) = blocks(TOUR, "python crystal/layernorm.py")
    source = (ROOT / "kernels/microgpt_kernels/crystal/layernorm.py").read_text(encoding="utf-8")
    assert excerpt in source


@pytest.mark.parametrize("target", REGISTERS)
def test_the_instructions_in_the_tour_are_in_one_loop_of_the_kernel(target):
    names = instructions(target)
    assert len(names) >= 4
    found = [
        loop
        for loop in loops(assembly(target)["layernorm_forward-float32"])
        if all(loop.count(rf"{re.escape(name)}\s") for name in names)
    ]
    assert found, names
    assert all(loop.fused and loop.vectors == {REGISTERS[target]} for loop in found)


def test_the_files_that_the_tour_names_are_there():
    paths = set(re.findall(r"`([\w/]+/[\w.]*)`", TOUR))
    assert len(paths) >= 8
    assert {path for path in paths if not (ROOT / path).exists()} == set()
