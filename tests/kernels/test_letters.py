"""One letter, one meaning: every shape that is written somewhere is made of the letters of the contract.

The sources are read as text, so that backends that cannot run here are read, too.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import microgpt_kernels
import pytest
from microgpt_kernels.contract import KERNELS, LETTERS, PASSES
from support import BY_NAME

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "kernels" / "microgpt_kernels", ROOT / "microgpt"
BACKENDS = [name.replace("-", "_") for name in microgpt_kernels.BACKENDS if name != "reference"]

DIMENSION = r"(?:\d*[A-Z]|\d+)(?:[*+](?:\d*[A-Z]|\d+))*"
# (N, 3C), (H+1,), (6*T*C+32*T,); but not (2), which is no shape
SHAPE = re.compile(rf"\(({DIMENSION}(?:, {DIMENSION})+|{DIMENSION},)\)")
# `inp, weight  (N, C) float64  read`: what each array is, in the contract's words
SAID = re.compile(rf"^ *([\w, ]+\w) +\(([^)]*)\) *((?:float|int)\d+)? +({'|'.join(PASSES)})\b", re.MULTILINE)


def letters_of(text):
    """The letters of all shapes in a docstring or a comment."""
    return set(re.findall("[A-Z]", " ".join(SHAPE.findall(text))))


def prose(path):
    """The docstrings and comments of a file, each with its line."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


def sources():
    return [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]


def kernels_of(backend):
    """The functions of a backend that are kernels of the contract, as syntax."""
    for path in sorted((PACKAGES[0] / backend).glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name in BY_NAME:
                yield node


def unpacked(function):
    """(argument, axis, name) for each `N, C = out.shape` in a function."""
    pairs = []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            pairs += [(target, node.value) for target in node.targets]
    while pairs:
        target, value = pairs.pop()
        if not isinstance(target, ast.Tuple):
            continue
        if isinstance(value, ast.Tuple):
            pairs += zip(target.elts, value.elts, strict=False)
        elif isinstance(value, ast.Attribute) and value.attr == "shape" and isinstance(value.value, ast.Name):
            for axis, name in enumerate(target.elts):
                if isinstance(name, ast.Name):
                    yield value.value.id, axis, name.id


def test_every_shape_in_a_docstring_or_comment_is_made_of_the_contracts_letters():
    seen = set()
    for path in sources():
        for line, text in prose(path):
            letters = letters_of(text)
            seen |= letters
            unknown = letters - LETTERS.keys()
            assert not unknown, f"{path.relative_to(ROOT)}:{line}: no {unknown} in LETTERS (contract.py)"
    assert len(seen) > 15, "hardly any shapes were found: has their form changed?"


def test_the_tables_of_parameters_and_activations_are_made_of_the_contracts_letters():
    shapes = {}
    for path in sources():
        text = path.read_text(encoding="utf-8")
        shapes |= re.findall(r'(?m)^ +(\w+): Annotated\[\w+, "([^"]*)"', text)
    assert shapes.keys() >= {"qkv_w", "pos", "att", "scratch", "offsets", "cos"}
    for name, shape in shapes.items():
        assert set(re.findall("[A-Z]", shape)) <= LETTERS.keys(), (name, shape)


def test_the_contract_keeps_to_its_own_letters_and_uses_most_of_them():
    used = set(re.findall("[A-Z]", " ".join(a.shape for k in KERNELS for a in k.arguments)))
    assert used <= LETTERS.keys()
    # what only a model has: layers, rows of some arrays; D and W: what kernels compute with inside
    assert LETTERS.keys() - used == set("LEAUGZDW")


def test_the_kernels_of_backends_are_found():
    assert {function.name for function in kernels_of("crystal")} == BY_NAME.keys()
    assert {function.name for function in kernels_of("cublas")} == BY_NAME.keys()
    assert {function.name for function in kernels_of("openblas")} == {"linear_forward", "linear_backward"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_docstrings_of_kernels_say_what_the_contract_says(backend):
    for function in kernels_of(backend):
        said = {
            each: (shape.rstrip(",").replace(", ", " "), kind, mode)
            for names, shape, kind, mode in SAID.findall(ast.get_docstring(function))
            for each in names.split(", ")
        }
        arrays = [a for a in BY_NAME[function.name].arguments if a.mode != "scalar"]
        kinds = {a.name: "" if a.kind in ("real", "text") else a.kind for a in arrays}
        assert said == {a.name: (a.shape, kinds[a.name], a.mode) for a in arrays}, (
            f"{backend} {function.name}"
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_kernels_name_the_sizes_of_their_arguments_as_the_contract_does(backend):
    for function in kernels_of(backend):
        shapes = {a.name: a.shape.split() for a in BY_NAME[function.name].arguments}
        for argument, axis, name in unpacked(function):
            if argument in shapes and re.fullmatch("[A-Z]", shapes[argument][axis]):
                assert name in ("_", shapes[argument][axis]), f"{backend} {function.name}: {argument}.shape"


# --- that these would find it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("out  (N, 3C)  written", "NC"),
        ("(6*T*C+32*T,) scratch", "TC"),
        ("offsets (H+1,) int32", "H"),
        ("(Y, U) is unknown", "YU"),
        ("equation (4), (2) and (I) are no shapes, (USA) neither", ""),
    ],
)
def test_shapes_are_found_in_text(text, letters):
    assert letters_of(text) == set(letters)


def test_unpacked_shapes_are_found():
    (function,) = ast.parse("def f(out, att):\n    N, C = out.shape\n    (B, _), T = att.shape, 3").body
    assert set(unpacked(function)) == {("out", 0, "N"), ("out", 1, "C"), ("att", 0, "B"), ("att", 1, "_")}
