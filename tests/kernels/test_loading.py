"""A backend is loaded, or one sentence says which package or setting is in the way."""

import json
import os
import re
import subprocess
import sys

import microgpt_kernels.needs
import pytest
from microgpt_kernels import BackendError, load, loading, status

# --- packages -------------------------------------------------------------------------------------

# how numpy fails whose library is missing
NUMPYS = """
try:
    raise ImportError("libopenblas.so.0: cannot open shared object file")
except ImportError as error:
    raise ImportError("IMPORTANT: PLEASE READ THIS\\n\\nOriginal error was: " + str(error)) from error
"""
BROKEN = [
    (
        "numba",
        "raise ImportError('Numba needs NumPy 2.5 or less.')",
        "Numba needs NumPy 2.5 or less",
        "numba",
    ),
    ("numba", "import numba.core", "No module named 'numba.core'", "numba"),
    (
        "llvmlite",
        "raise OSError('libllvmlite.so: wrong ELF class')",
        "libllvmlite.so: wrong ELF class",
        "numba",
    ),
    ("llvmlite", "(0).no_such", "'int' object has no attribute 'no_such'", "numba"),
    ("scipy", "raise SystemError('_flapack failed')", "_flapack failed", "scipy"),
    ("scipy", "raise RuntimeError", "RuntimeError", "scipy"),
    ("numpy", NUMPYS, "libopenblas.so.0: cannot open shared object file", "numpy"),
]


@pytest.fixture
def run(tmp_path):
    """A program that finds this package first."""

    def once(package, text, *program):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(text)
        path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
        return subprocess.run(
            [sys.executable, "-W", "error", *program],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )

    return once


@pytest.mark.parametrize(("package", "text", "reason", "installed"), BROKEN)
def test_a_package_that_cannot_be_imported_is_named_with_the_reason(run, package, text, reason, installed):
    done = run(package, text, "-c", "from microgpt_kernels import status; print(status('openblas').detail)")
    assert done.stderr == ""
    assert done.stdout == (
        f"needs the package {package!r}, and the one that is installed cannot be imported ({reason}): "
        f"pip install --force-reinstall {installed}\n"
    )


def test_the_other_backends_can_still_be_used(run):
    done = run("numba", "raise OSError('broken')", "-m", "microgpt", "backends", "--json")
    assert done.stderr == ""
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert {name for name, row in rows.items() if row["usable"]} == {"reference"}
    assert "'numba'" in rows["crystal"]["detail"]


def test_without_numpy_every_command_says_so(run):
    done = run("numpy", NUMPYS, "-m", "microgpt", "backends")
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(
        "microgpt: every command needs the package 'numpy', .*: pip install .* numpy\n", done.stderr
    )


def test_an_error_of_our_own_is_no_package_s(monkeypatch):
    def fail(name):
        raise AttributeError("a mistake")

    monkeypatch.setattr(loading.importlib, "import_module", fail)
    with pytest.raises(AttributeError, match="a mistake"):
        load("crystal")


@pytest.mark.parametrize(
    "text",
    [
        "import microgpt_kernles",
        "import microgpt_kernels.crystl",
        "from microgpt_kernels import crystl",
        "from microgpt_kernels.errors import BackendErorr",
    ],
)
def test_a_misspelt_import_of_our_own_is_a_bug_and_no_package_to_install(tmp_path, monkeypatch, text):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.setattr(microgpt_kernels, "__path__", [*microgpt_kernels.__path__, str(tmp_path)])
    monkeypatch.setitem(loading.NEEDS, "broken", ())
    with pytest.raises(ImportError, match=r"No module named 'microgpt_|cannot import name '"):
        load("broken")


# --- what each backend needs ----------------------------------------------------------------------


def test_a_backend_must_pass_each_check_that_the_table_names_for_it(tmp_path, monkeypatch):
    (tmp_path / "abacus.py").write_text("raise AssertionError('it is imported too early')")
    (tmp_path / "beads.py").write_text(
        "from microgpt_kernels import BackendError\n"
        "def check(backend): raise BackendError(f'the backend {backend!r} needs beads')"
    )
    for package in (microgpt_kernels, microgpt_kernels.needs):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setitem(loading.NEEDS, "abacus", ("beads",))
    assert status("abacus") == ("abacus", False, "needs beads")
    monkeypatch.setitem(loading.NEEDS, "abacus", ())
    with pytest.raises(AssertionError, match="too early"):
        load("abacus")


def test_no_check_imports_anything_heavy():
    """Nor does the package itself: `microgpt --help` imports it."""
    checks = "".join(
        f"import microgpt_kernels.needs.{need};" for row in loading.NEEDS.values() for need in row
    )
    code = f"{checks} import sys; print({{'numpy', 'numba', 'scipy', 'cuda.core'}} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", "-1", "two", "", "1.5"])
@pytest.mark.parametrize("backend", ["crystal", "openblas"])
def test_a_number_of_threads_that_numba_cannot_take_is_refused(monkeypatch, backend, value):
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    with pytest.raises(BackendError) as error:
        load(backend)
    assert str(error.value) == (
        f"NUMBA_NUM_THREADS is {value!r}; set it to a number of threads, 1 or more, or unset it"
    )
    assert status(backend).detail == str(error.value)
    assert status("reference").usable


def test_more_threads_than_cores_are_taken(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1000")
    assert "1000 threads" in subprocess.run(
        [sys.executable, "-c", "from microgpt_kernels import status; print(status('crystal').detail)"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
