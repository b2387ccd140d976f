"""The rooms of the house: imports point one way, every room has a door, and a file's tests have its name."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE, KERNELS, TESTS = ROOT / "microgpt", ROOT / "kernels" / "microgpt_kernels", ROOT / "tests"
# From below to above: a room or a file of the top floor imports itself and what stands before it. Those of
# one line do not know each other. `microgpt` is the package's own face, `microgpt/__init__.py`.
ORDER = (
    ("errors",),
    ("bounds", "fields", "files", "arrays"),
    ("intervals",),
    ("terminal",),
    ("machine",),
    ("text",),
    ("corpora",),
    ("model", "recipes"),
    ("config",),
    ("checkpoint",),
    ("use",),
    ("xray",),
    ("page",),
    ("training",),
    ("api",),
    ("microgpt",),
    ("console", "interactive"),
    ("measure",),
    ("race",),
    ("report",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
ABOVE = len(ORDER)  # where a file stands until ORDER names it
# Files without a test file of their name, and where they are tested.
TESTED_ELSEWHERE = {
    "__main__.py": "every test of test_cli_process.py starts it",
    **{f"api/{name}.py": "test_api.py" for name in ("log", "model", "training", "words")},
    **{
        f"{room}/{name}.py": "the commands are called in test_cli.py"
        for room in ("cli", "commands")
        for name in ("backends", "corpus", "evaluate", "export", "generate", "info", "runs", "xray")
    },
    **{
        f"cli/{name}.py": "the commands are called in test_cli.py"
        for name in ("app", "bench", "errors", "options", "train")
    },
    **{f"cli/{name}.py": f"its options are those of {name}/test_command.py" for name in ("race", "report")},
    **{
        f"commands/{name}.py": "the commands are called in test_cli.py"
        for name in ("cell", "generate_interactively", "model")
    },
    "console.py": "what it shows is seen in test_cli.py, and on a terminal in test_cli_process.py",
    "corpora/grammar.py": "the grammar and its probabilities are those of test_tales.py",
    "measure/scale_table.py": "what it prints is read in measure/test_scale.py",
    "measure/bench.py": "the command is all there is of it: test_cli.py",
    "model/placed.py": "every test that trains or generates places a model first",
    "model/steps.py": "the steps are those that training/test_trainer.py takes",
    "model/transformer.py": "test_gradients.py by finite differences, test_oracle.py by PyTorch",
    **{
        f"race/figure_{name}.py": "the figures are drawn, and read, in race/test_figures.py"
        for name in ("page", "of_losses", "of_pairs", "of_rates", "of_seconds")
    },
    "terminal/interruption.py": "signals need processes: test_cli_process.py and faults/signals.py",
    "terminal/usage.py": "the parser's errors in one line: test_cli.py",
    "training/reporter.py": "what a run tells a reporter: training/test_run.py",
    "training/train.py": "every test of training/test_run.py trains",
}
# Test files that are not about one file.
ABOUT_MORE = {
    "test_api.py": "the package from Python",
    "test_cli.py": "every command, from its options to what it does",
    "test_cli_process.py": "the program as its users start it",
    "test_rooms.py": "the tree itself",
    "test_tour.py": "docs/tour.md",
    "machine/test_memory.py": "what the whole program takes from the machine",
    "measure/test_head_roles.py": "benchmarks/head_roles.py",
    "measure/test_local_steps.py": "benchmarks/local_steps.py",
    "measure/test_peers.py": "benchmarks/peers",
    "measure/test_same_results.py": "benchmarks/same_results.py",
    "measure/test_scaling.py": "benchmarks/scaling.py",
    "measure/test_tricks.py": "benchmarks/tricks.py",
    "model/test_gradients.py": "the whole model by finite differences",
    "model/test_oracle.py": "the whole model beside PyTorch",
    "model/test_threads.py": "the whole model on several threads",
    "page/test_film.py": "the film on the page of an X-ray",
    "page/test_browser.py": "the browser that the tests of pages have, tests/browser.py",
    "page/test_model_js.py": "page/model.js, in a browser",
    "race/test_mpi.py": "races whose processes mpiexec starts",
    "report/test_page.py": "the page of a report, in a browser",
}


class Import(NamedTuple):
    file: str  # from the package's directory
    line: int
    module: str  # its full name, and of a package the part that is imported


def imports(path, package):
    """Every import of a file: also those inside functions, under TYPE_CHECKING, and by a name in quotes."""
    file = path.relative_to(package).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            inside = [package.name, *path.relative_to(package).parts][: -node.level] if node.level else []
            module = ".".join([*inside, *([node.module] if node.module else [])])
            for alias in node.names:
                found = f"{module}.{alias.name}"
                yield Import(file, node.lineno, found if is_module(found) else module)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(file, node.lineno, name.value)


def called(node):
    return getattr(node.func, "attr", None) or getattr(node.func, "id", None)


def is_module(name):
    """Whether it is a file or a room of the package: what else is imported from a package is a name in it."""
    first, *parts = name.split(".")
    path = PACKAGE.joinpath(*parts)
    return first == "microgpt" and (path.is_dir() or path.with_suffix(".py").is_file())


def sources(directory):
    return sorted(directory.rglob("*.py"))


def place(module):
    """The room or the file of the top floor that a module of the package is in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "microgpt"


def place_of(file):
    first = file.split("/")[0].removesuffix(".py")
    return "microgpt" if first == "__init__" else first


def is_upward(found):
    """Whether an import comes from what stands below of what stands above, or beside it."""
    if found.module.split(".")[0] != "microgpt":
        return False
    importing, imported = place_of(found.file), place(found.module)
    return importing != imported and LEVEL.get(imported, ABOVE) >= LEVEL.get(importing, ABOVE)


def the_imports(package):
    return [found for path in sources(package) for found in imports(path, package)]


def test_every_file_has_its_place_in_the_order():
    places = {place_of(path.relative_to(PACKAGE).as_posix()) for path in sources(PACKAGE)}
    assert places == set(LEVEL), "ORDER names every room and every file of the top floor, and nothing else"


def test_imports_point_one_way():
    """The version is no part of what the package's face offers: it is a constant that every file may know."""
    wrong = [
        f"microgpt/{found.file}, line {found.line}: {place_of(found.file)} must not import {found.module}"
        for found in the_imports(PACKAGE)
        if is_upward(found) and not is_version(found)
    ]
    assert not wrong, "\n".join(wrong)


def is_version(found):
    """Whether it is `from microgpt import __version__` and nothing more."""
    if found.module != "microgpt":
        return False
    nodes = ast.walk(ast.parse((PACKAGE / found.file).read_text(encoding="utf-8")))
    return any(
        isinstance(node, ast.ImportFrom)
        and node.lineno == found.line
        and [alias.name for alias in node.names] == ["__version__"]
        for node in nodes
    )


def test_no_file_imports_itself_through_others():
    files = {module_name(path): path for path in sources(PACKAGE)}
    graph = {
        name: {found.module for found in imports(path, PACKAGE) if found.module in files} - {name, "microgpt"}
        for name, path in files.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other in a circle: {' <- '.join(error.args[1])}")


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_program_imports_nothing_from_tests_or_benchmarks():
    helpers = {path.stem for path in TESTS.glob("*.py")} | {"tests", "benchmarks", "faults", "pytest"}
    for package in (PACKAGE, KERNELS):
        assert [found for found in the_imports(package) if found.module.split(".")[0] in helpers] == []


def test_kernels_know_nothing_of_the_program():
    assert [found for found in the_imports(KERNELS) if found.module.split(".")[0] == "microgpt"] == []


def test_the_configuration_needs_only_the_architecture_the_heads_and_the_shards_of_the_model():
    modules = {found.module for found in imports(PACKAGE / "config.py", PACKAGE)}
    assert {name for name in modules if place(name) == "model"} == {
        "microgpt.model.architecture",
        "microgpt.model.heads",
        "microgpt.model.shards",
    }


def test_every_room_has_a_door_that_says_what_lives_there():
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    assert rooms
    for room in rooms:
        (only,) = ast.parse((room / "__init__.py").read_text(encoding="utf-8")).body
        assert isinstance(only, ast.Expr), f"{room.name}/__init__.py does more than to say what lives there"
        assert len(only.value.value) > 20
    deeper = [path for room in rooms for path in room.rglob("*.py") if path.parent != room]
    assert not deeper, "a room has no rooms of its own"


def test_the_tests_of_a_file_have_its_name():
    files = {path.relative_to(PACKAGE) for path in sources(PACKAGE) if path.name != "__init__.py"}
    tests = {path.parent / f"test_{path.name}": path.as_posix() for path in files}
    found = {
        path.relative_to(TESTS)
        for room in {path.parent for path in files}
        for path in (TESTS / room).glob("test_*.py")
    }
    untested = {file for test, file in tests.items() if test not in found}
    assert untested == TESTED_ELSEWHERE.keys(), (
        "each file has tests of its name, or the list says where they are"
    )
    about_more = {test.as_posix() for test in found - tests.keys()}
    assert about_more == ABOUT_MORE.keys(), (
        "each test file has a file's name, or the list says what it is about"
    )


# --- what the checks above would find


WRONG = {
    "def late():\n    from microgpt.cli import app": "microgpt.cli.app",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import microgpt.cli.app": "microgpt.cli.app",
    "from microgpt import commands": "microgpt.commands",
    "from microgpt.training import run": "microgpt.training.run",
    "from ..training import run": "microgpt.training.run",
    "from importlib import import_module\nimport_module('microgpt.cli.app')": "microgpt.cli.app",
    "from microgpt import train": "microgpt",
}
RIGHT = [
    "from microgpt.text.vocabulary import Vocabulary",
    "from . import heads",
    "import microgpt.model.parameters",
    "from microgpt.errors import MicrogptError",
    "import numpy",
]


@pytest.fixture
def written(tmp_path):
    """The imports of a file of the room `model` with this content."""
    package = tmp_path / "microgpt"
    (package / "model").mkdir(parents=True)

    def imports_of(content):
        (package / "model" / "file.py").write_text(content)
        return list(imports(package / "model" / "file.py", package))

    return imports_of


@pytest.mark.parametrize("content", WRONG)
def test_an_import_from_above_is_found(written, content):
    (upward,) = [found for found in written(content) if is_upward(found)]
    assert upward == Import("model/file.py", len(content.splitlines()), WRONG[content])


@pytest.mark.parametrize("content", RIGHT)
def test_an_import_from_below_is_none(written, content):
    (found,) = written(content)
    assert not is_upward(found)


def test_helpers_of_tests_have_names_that_no_package_has():
    """They are found by their bare names, as `tests` is on the path."""
    helpers = {path.stem for path in TESTS.glob("*.py") if not path.name.startswith("test_")} - {"conftest"}
    assert helpers & sys.stdlib_module_names == set()
    for name in helpers:
        elsewhere = [
            path for path in map(Path, sys.path) if (path / name).is_dir() or (path / f"{name}.py").exists()
        ]
        assert {path.resolve() for path in elsewhere} == {TESTS}
