"""The cache of machine code: used again by the next process, never stale or damaged or another user's, and no
reason to stop."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time

import microgpt_kernels
import pytest
from microgpt_kernels.cache import folders, reports
from microgpt_kernels.cache.store import Store

resource = pytest.importorskip("resource", reason="most of this is about Unix's owners, modes and limits")

KEY, CODE = "a function of an array", b"its machine code"
NOBODY = 65534

# --- the store ------------------------------------------------------------------------------------


@pytest.fixture
def lines(monkeypatch):
    """What the user is told."""
    told = []
    monkeypatch.setattr(reports, "_tell", told.append)
    monkeypatch.setattr(reports, "_told", set())
    return told


@pytest.fixture
def place(tmp_path, monkeypatch, lines):
    """Where the next store keeps its folder."""
    place = tmp_path / "place"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(place))
    return place


def filled(*versions):
    store = Store(*versions)
    store.put(KEY, CODE)
    return store


def test_what_is_put_is_there_in_the_next_process_under_its_key_and_versions_only(place, lines):
    filled("1.0")
    assert Store("1.0").get(KEY) == CODE
    assert Store("1.0").get("another key") is None
    assert Store("1.1").get(KEY) is None
    assert lines == []


def test_a_file_under_another_key_s_name_is_not_taken(place):
    store = filled()
    (file,) = store.folder.iterdir()
    store.put("another key", b"other code")
    (other,) = set(store.folder.iterdir()) - {file}
    file.write_bytes(other.read_bytes())
    assert store.get(KEY) is None


def test_only_its_user_may_enter_the_folder(place):
    folder = filled().folder
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(place.stat().st_mode) == 0o700


def test_a_folder_that_is_removed_meanwhile_is_made_again(place):
    store = filled()
    subprocess.run(["rm", "-r", place], check=True)
    store.put(KEY, CODE)
    assert Store().get(KEY) == CODE


def test_the_users_home_is_meant_by_a_tilde(place, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "~/mine")
    assert filled().folder.parent == tmp_path / "mine"


def test_what_is_said_once_is_not_said_again_and_goes_to_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(reports, "_told", set())
    monkeypatch.setattr(reports, "_tell", reports._print)
    reports.tell_once("a line")
    reports.tell_once("a line")
    assert capsys.readouterr() == ("", "a line\n")


# --- damage ---------------------------------------------------------------------------------------


def damages(content):
    """Nothing left, as after a power cut; a part of it; one bit of each part of it."""
    yield "empty", b""
    yield "half", content[: len(content) // 2]
    for position in (0, 31, 32, len(content) - 1, len(content) // 2):
        flipped = bytearray(content)
        flipped[position] ^= 1
        yield "flipped", bytes(flipped)


def test_a_damaged_file_empties_the_folder_and_is_said_once(place, lines):
    (file,) = filled().folder.iterdir()
    whole = file.read_bytes()
    for _, content in damages(whole):
        store = filled()
        store.put("another key", CODE)
        file.write_bytes(content)
        lines.clear()
        reports._told.clear()
        assert Store().get(KEY) is None
        assert list(store.folder.iterdir()) == []
        assert lines == [
            f"{store.folder} held damaged machine code (a checksum is wrong): it has been emptied, and the "
            "kernels are compiled again"
        ]
        assert filled().get(KEY) == CODE


def test_a_folder_that_cannot_be_emptied_is_said_too(place, lines):
    store = filled()
    (file,) = store.folder.iterdir()
    file.unlink()
    file.mkdir()  # which neither reads nor goes
    assert store.get(KEY) is None
    assert len(lines) == 1
    assert lines[0].startswith(f"compiled kernels are not kept for the next start: {store.folder}: ")


# --- places where nothing can be kept -------------------------------------------------------------

REMEDY = "; set NUMBA_CACHE_DIR to a folder of your own with room for 10 MB"


def refusal(place, why):
    return [f"compiled kernels are not kept for the next start: {place}: {why}{REMEDY}"]


def test_no_folder_can_be_made_below_a_file(place, lines):
    place.write_text("a file")
    store = filled()
    assert store.get(KEY) is None
    assert lines == refusal(place / folders.name_for(()), "Not a directory")


def test_a_user_without_a_home_is_told(place, lines, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(folders.platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert filled().get(KEY) is None
    assert lines == refusal("~/.cache/microgpt", "there is no such home folder")


def test_a_full_disk_is_told_and_leaves_no_half_file(place, lines, monkeypatch):
    store = filled()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        store.put("large", bytes(10_000))
        store.put("larger", bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert lines == refusal(store.folder, "File too large")
    assert len(list(store.folder.iterdir())) == 1
    assert store.get(KEY) == CODE  # what is there can still be used


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_a_folder_that_others_may_write_is_not_used(place, lines, monkeypatch, mode):
    monkeypatch.setattr("microgpt_kernels.cache.private_folder._is_our_own_group", lambda gid: False)
    folder = filled().folder
    folder.chmod(mode)
    assert Store().get(KEY) is None
    others = "others may write there, and their code would run as yours (chmod go-w ends that)"
    assert lines == refusal(folder, others)
    folder.chmod(0o755)
    assert Store().get(KEY) == CODE


def test_nor_is_one_that_others_may_put_another_in_place_of(place, lines):
    folder = filled().folder
    place.chmod(0o777)
    assert Store().get(KEY) is None
    assert Store("new").folder is None
    others = "others may write there, and their code would run as yours (chmod go-w ends that)"
    assert lines == refusal(place, others)
    assert list(place.iterdir()) == [folder]
    place.chmod(0o1777)  # where nobody can rename what is another's
    assert Store().get(KEY) == CODE
    assert Store("new").folder is not None


def test_nor_is_another_user_s(place, lines, monkeypatch):
    folder = filled().folder
    owner = os.geteuid() or NOBODY
    os.chown(folder, owner, -1)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert Store().get(KEY) is None
    assert lines == refusal(folder, f"it belongs to user {owner}, whose code would run as yours")


def test_a_symbolic_link_is_judged_by_what_it_points_to(place, lines, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "real")
    assert filled().folder.parent == tmp_path / "real"
    assert lines == []
    (tmp_path / "real").chmod(0o777)
    assert Store().get(KEY) is None
    assert len(lines) == 1


def test_a_group_of_the_users_own_may_write(monkeypatch):
    import grp
    import pwd

    from microgpt_kernels.cache.private_folder import _is_our_own_group

    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pwd.struct_passwd(("ada", "", 7, 7, "", "", "")))
    groups = {7: ("ada", []), 8: ("ada", ["ada", "bob"]), 9: ("users", [])}
    monkeypatch.setattr(
        grp, "getgrgid", lambda gid: grp.struct_group((groups[gid][0], "", gid, groups[gid][1]))
    )
    assert [_is_our_own_group(gid) for gid in (7, 8, 9, 10)] == [True, False, False, False]


# --- what the folder is named by ------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Two modules in place of the kernels."""
    package = tmp_path / "package"
    (package / "crystal").mkdir(parents=True)
    for name, text in (("__init__", ""), ("crystal/relu", "one\ntwo\n"), ("crystal/rope", "three\n")):
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(microgpt_kernels, "__file__", str(package / "__init__.py"))
    return package


def test_every_edit_of_the_sources_makes_another_folder(place, package):
    crystal = package / "crystal"
    names = [Store().folder.name]

    def edited(name, text):
        (crystal / name).write_text(text)
        names.append(Store().folder.name)

    edited("rope.py", "four\n")
    edited("relu.py", "one\n")
    edited("rope.py", "two\nfour\n")  # a line has moved to the next file
    edited("gelu.py", "")
    (crystal / "gelu.py").rename(crystal / "silu.py")
    names.append(Store().folder.name)
    assert len(set(names)) == len(names) == 6


def test_editors_temporaries_are_no_edit(place, package):
    crystal = package / "crystal"
    before = Store().folder
    (crystal / ".#relu.py").symlink_to("ada@machine.1234:5678")  # the lock of Emacs, which leads nowhere
    (crystal / "#relu.py#").write_text("half a line")
    (crystal / "relu.py~").write_text("before")
    (crystal / ".relu.py.swp").write_bytes(b"\xff\xfe")
    (crystal / "flycheck_relu.py").write_text("half a line")
    (crystal / ".ipynb_checkpoints").mkdir()
    (crystal / ".ipynb_checkpoints" / "relu.py").write_text("before")
    (crystal / "folder.py").mkdir()
    (crystal / "caf\udce9.py").write_text("a name that is not UTF-8")
    after = Store().folder
    assert before == after


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no file that even root cannot read")
def test_a_source_need_not_be_utf_8_but_readable(place, package, lines):
    (package / "crystal" / "relu.py").write_bytes(b"# caf\xe9\n")
    assert Store().folder is not None
    (package / "crystal" / "rope.py").unlink()
    (package / "crystal" / "rope.py").symlink_to("/proc/self/mem")
    assert Store().folder is None
    assert lines == [
        f"compiled kernels are not kept for the next start: {package}: Input/output error; make it readable"
    ]


def test_of_the_folders_of_other_versions_the_last_few_used_are_kept(place):
    used = [filled(str(version)).folder for version in range(folders.KEPT_FOLDERS + 1)]
    for age, folder in enumerate(used):
        os.utime(folder, (1000 - age, 1000 - age))
    others = [place / name for name in ("microgpt-notes", "0123456789abcdef", "microgpt-0123456789abcdef")]
    others[0].mkdir()
    others[1].mkdir()
    others[2].write_text("a file")
    link = place / "microgpt-fedcba9876543210"
    link.symlink_to(others[0])
    for other in others:
        os.utime(other, (1, 1))
    assert Store(str(folders.KEPT_FOLDERS)).get(KEY) == CODE  # the oldest, and used once more
    new = filled("new").folder
    assert set(place.iterdir()) == {*used, new, *others, link} - {used[-2]}


def test_what_a_dead_process_has_left_is_removed_and_not_what_a_living_one_writes(place):
    folder = filled().folder
    for name, age in (("dead.tmp", folders.ABANDONED_SECONDS + 10), ("alive.tmp", 1)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    assert Store().get(KEY) == CODE
    assert [file.name for file in folder.glob("*.tmp")] == ["alive.tmp"]


# --- Numba's functions in it ----------------------------------------------------------------------

# the package without what its `__init__` would compile
SMALL = """
import sys, types
from pathlib import Path
import microgpt_kernels

crystal = types.ModuleType("microgpt_kernels.crystal")
crystal.__path__ = [str(Path(microgpt_kernels.__file__).parent / "crystal")]
sys.modules[crystal.__name__] = crystal
"""
# The step, its kernels and its state stand in modules of their own, as the program has them.
STATES = """
import os
from collections import namedtuple

State = namedtuple("State", os.environ["FIELDS"].split())
"""
KERNELS = """
from microgpt_kernels.crystal.jit import external_function, kernel
from numba import types

@kernel
def add(out, inp):
    for i in range(len(out)):
        out[i] += inp[i]

def three_times(x):
    return 3 * x

tripled = external_function(three_times, "test_tripled", types.float64(types.float64))

@kernel
def triple(out):
    for i in range(len(out)):
        out[i] = tripled(out[i])
"""
STEPS = """
import kernels as k
from microgpt_kernels.crystal.compiling import compile
from states import State

def build():
    def twice(state):
        for _ in range(2):
            k.add(state.first, state.second)

    def step(state):
        twice(state)
        k.triple(state.second)

    return compile(step)
"""
PROGRAM = f"""{SMALL}
import numpy as np
from microgpt_kernels.cache.reports import n_compiled
from steps import State, build

for dtype in (np.float64, np.float32):
    state = State(**{{"first": np.ones(3, dtype), "second": np.ones(3, dtype)}})
    build()(1, state)
    print(state.first.sum(), state.second.sum())
print(n_compiled())
"""
RIGHT = ["9.0", "9.0"] * 2
# the two kernels of the step for each of two types; what one of these calls; and what repeats the step
N_COMPILED = 2 * 2 + 2
COLD, WARM = ([*RIGHT, str(n)] for n in (N_COMPILED, 0))
# with Python's own cache, as users have it: the second process finds bytecode where the first had the source
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("NUMBA_")
}
# without these two rights root, too, may write only where the mode says so
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
BOUND = BOUND if os.geteuid() == 0 and shutil.which("setpriv") else []
bound = pytest.mark.skipif(os.geteuid() == 0 and not BOUND, reason="root may write everywhere")


class Program:
    """A step and its kernels, and a cache of its own for each test."""

    def __init__(self, place, cache):
        self.place, self.cache = place, cache

    def start(self, program=PROGRAM, **environment):
        chosen = {"NUMBA_CACHE_DIR": str(self.cache), "FIELDS": "first second"}
        return subprocess.Popen(
            [*BOUND, sys.executable, "-W", "error", "-c", program],
            cwd=self.place,
            env=ENVIRONMENT | chosen | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments, code=0, **environment):
        """What it prints, and the lines of its errors."""
        with self.start(*arguments, **environment) as process:
            out, errors = process.communicate()
        assert process.returncode == code, errors
        return out.split(), errors.splitlines()

    def files(self):
        return [file for file in self.cache.rglob("*") if file.is_file()]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The program, when it has run once."""
    place = tmp_path_factory.mktemp("program")
    for name, text in (("states", STATES), ("kernels", KERNELS), ("steps", STEPS)):
        (place / f"{name}.py").write_text(text)
    program = Program(place, place / "cache")
    assert program() == (COLD, [])
    assert len(program.files()) == N_COMPILED
    return program


@pytest.fixture
def cold(compiled, tmp_path):
    """The program with an empty cache."""
    return Program(compiled.place, tmp_path / "cache")


@pytest.fixture
def warm(compiled, cold):
    """The program with all in its cache."""
    shutil.copytree(compiled.cache, cold.cache)
    return cold


@pytest.fixture
def edit(compiled):
    """Change a source, and put it back in the end."""
    before = {path: path.read_text() for path in compiled.place.glob("*.py")}

    def write(path, text):
        # Python's own cache takes a file of the same length for the same if it is of the same second
        later = path.stat().st_mtime + 2
        path.write_text(text)
        os.utime(path, (later, later))

    def replace(name, old, new):
        path = compiled.place / name
        write(path, before[path].replace(old, new))

    yield replace
    for path, text in before.items():
        write(path, text)


def test_the_second_process_compiles_nothing(warm):
    assert warm() == (WARM, [])
    # the order of a set is another, the code the same
    assert warm(PYTHONHASHSEED="2", PYTHONDONTWRITEBYTECODE="1", NUMBA_NUM_THREADS="3") == (WARM, [])


def test_fields_may_change_places(warm):
    assert warm(FIELDS="second first") == (WARM, [])


def test_an_edit_of_a_step_needs_no_compilation(warm, edit):
    edit("steps.py", "range(2)", "range(1)")
    assert warm() == (["6.0", "9.0"] * 2 + ["0"], [])


def test_an_edit_of_a_kernel_is_noticed(warm, edit):
    edit("kernels.py", "+= inp[i]", "+= 2 * inp[i]")
    assert warm() == (["15.0", "9.0"] * 2 + ["2"], [])


def test_so_is_one_of_what_is_called_by_its_symbol(warm, edit):
    edit("kernels.py", "3 * x", "4 * x")
    assert warm() == (["9.0", "12.0"] * 2 + ["1"], [])


def test_so_are_settings_that_change_machine_code(warm):
    assert warm(NUMBA_OPT="1") == (COLD, [])


# too much to be merged into what calls it so often
MADE = """
import numpy as np
from microgpt_kernels.crystal.jit import inlined, kernel

def make(n):
    @inlined
    def fill(out, x):
        for i in range(1, len(out)):
            x = x * 1.5 - out[i] / (x + 1.0)
            out[i] += x * 0.0
        for i in range(2, len(out)):
            x = x * 2.5 - out[i] / (x + 2.0)
            out[i] += x * 0.0
        for i in range(3, len(out)):
            x = x * 3.5 - out[i] / (x + 3.0)
            out[i] += x * 0.0
        for i in range(len(out)):
            out[i] = n

    @kernel
    def filled(out):
        fill(out, 1.0)
        fill(out[1:], 2.0)
        fill(out[2:], 3.0)
        fill(out[3:], 3.5)
        fill(out[:2], 4.5)
        fill(out[:3], 5.5)

    return filled

def filled(n):
    out = np.ones(5)
    make(n)(out)
    return out.mean()
"""


def test_functions_of_one_name_are_not_mixed_up_where_the_code_of_two_processes_meets(cold, tmp_path):
    (tmp_path / "made.py").write_text(MADE)
    program = f"{SMALL}\nsys.path.append({str(tmp_path)!r})\nfrom made import filled\nprint(filled(1.0))"
    other = program.replace("1.0", "2.0")
    # the order of a set, too, goes into Numba's names
    options = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    assert cold(program, **options) == (["1.0"], [])
    assert cold(other, **options) == (["2.0"], [])
    both = f"{program}\nprint(filled(2.0), microgpt_kernels.cache.reports.n_compiled())"
    assert cold(both, **options) == (["1.0", "2.0", "0"], [])


@pytest.mark.parametrize("damage", ["empty", "half", "flipped"])
def test_damaged_files_are_compiled_again(warm, damage):
    for file in warm.files():
        file.write_bytes(dict(damages(file.read_bytes()))[damage])
    words, (line,) = warm()
    assert words == COLD
    assert "held damaged machine code (a checksum is wrong)" in line


def test_what_is_whole_but_cannot_be_loaded_is_compiled_again(warm):
    """As after a change of Numba that its version does not show."""
    for file in warm.files():
        body = file.read_bytes()[32:].replace(b"numba.core", b"numba.xxxx")
        file.write_bytes(hashlib.sha256(body).digest() + body)
    words, (line,) = warm()
    assert words == COLD
    assert "held damaged machine code (ModuleNotFoundError)" in line
    assert warm() == (WARM, [])


def test_ten_processes_may_compile_at_once(cold):
    processes = [cold.start() for _ in range(10)]
    for process in processes:
        out, errors = process.communicate()
        assert errors == ""
        assert out.split()[:-1] == RIGHT
    assert cold() == (WARM, [])
    assert len(cold.files()) == N_COMPILED


# while a file is saved: before it is there, when half of it is, when it has no name yet, and when it has
DYING = """
import os
from microgpt_kernels.cache import store

write, replace, saved = store._write, os.replace, []

def dying(path, content):
    saved.append(path)
    if len(saved) == 3:
        if INSTANT == "half there":
            (path.parent / "half.tmp").write_bytes(content[:len(content) // 2])
        if INSTANT in ("before", "half there"):
            os._exit(9)
        if INSTANT == "without a name":
            os.replace = lambda *arguments: os._exit(9)
        write(path, content)
        os._exit(9)
    write(path, content)

store._write = dying
"""


@pytest.mark.parametrize(
    ("instant", "left"), [("before", 4), ("half there", 4), ("without a name", 4), ("after", 3)]
)
def test_a_process_may_die_while_it_saves(cold, instant, left):
    cold(f"INSTANT = {instant!r}{DYING}{PROGRAM}", code=9)
    assert cold() == ([*RIGHT, str(left)], [])


def test_a_process_may_be_killed_at_any_time(cold):
    for seconds in (0.7, 1.0):
        with cold.start() as process:
            time.sleep(seconds)
            process.kill()
    words, lines = cold()
    assert words[:-1] == RIGHT
    assert lines == []


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"


@pytest.mark.parametrize(
    "trouble",
    ["a file", "no such place", pytest.param("read-only", marks=bound), "another user's", "a full disk"],
)
def test_where_nothing_can_be_kept_one_line_says_so_and_nothing_is_kept_elsewhere(cold, tmp_path, trouble):
    home = tmp_path / "home"
    home.mkdir()
    program, options = PROGRAM, {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    options["PYTHONDONTWRITEBYTECODE"] = "1"
    if trouble == "a file":
        cold.cache.write_text("")
    elif trouble == "no such place":
        options["NUMBA_CACHE_DIR"] = "/proc/microgpt"
    elif trouble == "read-only":
        cold.cache.mkdir(mode=0o500)
    elif trouble == "another user's":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        cold.cache.mkdir()
        os.chown(cold.cache, NOBODY, NOBODY)
    else:
        program = FULL + PROGRAM
    words, (line,) = cold(program, **options)
    assert words == COLD
    assert line.startswith("compiled kernels are not kept for the next start: ")
    assert line.endswith(REMEDY)
    assert list(home.iterdir()) == []
    assert not [*cold.files(), *cold.place.rglob("*.nb?")] or trouble == "a file"


@bound
def test_a_cache_that_can_only_be_read_is_used(warm):
    """As that in an image, made ahead."""
    (folder,) = warm.cache.iterdir()
    folder.chmod(0o500)
    try:
        assert warm() == (WARM, [])
        words, (line,) = warm(NUMBA_OPT="1")
        assert words == COLD
        assert line == refusal(folder, "Permission denied")[0]
    finally:
        folder.chmod(0o700)
