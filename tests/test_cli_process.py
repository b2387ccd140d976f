"""The program as its users start it: signals, pipes, terminals, and how fast it is there."""

import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from microgpt.checkpoint.saved import load_state

pytestmark = pytest.mark.usefixtures("signals")
TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 100
unix = pytest.mark.skipif(os.name != "posix", reason="signals, shells and terminals of this kind are Unix's")
PROGRAM = (sys.executable, "-W", "error", "-m", "microgpt")
TINY = ("--recipe", "plain", "--seq-len", "16", "--d-model", "16")
# a second or two, so that there is something to interrupt
LONG = ("train", "text.txt", *TINY, "--steps", "20000", "--out", "run", "--json")
PLAIN = {
    name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def run(*arguments, code=0, **options):
    options = {"capture_output": True, "text": True, **options}
    result = subprocess.run([*PROGRAM, *arguments], **options)
    assert result.returncode == code, result.stderr
    return result


def untimed(path):
    reports = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in report.items() if k not in ("chars_per_s", "elapsed_s")} for report in reports]


@unix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run_says_how_to_go_on_and_ends_the_same(here, name):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*PROGRAM, *LONG], **pipes) as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(getattr(signal, name))
        rest, notes = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in notes
    last = json.loads(rest.splitlines()[-1])
    assert first["step"] <= last["step"] < 20000
    assert last["interrupted"]
    saved = load_state(here / "run")
    assert saved.step == last["step"]
    command = re.fullmatch(r"interrupted and saved; to go on: (.*)", notes.splitlines()[-1])[1]
    assert command.endswith(" -m microgpt train --resume run")
    if name != "SIGINT":
        return
    resumed = subprocess.run(shlex.split(command), capture_output=True, text=True)  # as it is pasted
    assert resumed.returncode == 0
    assert f"from step {saved.step} of 20000" in resumed.stderr
    run(*LONG, "--out", "whole")
    one, other = load_state(here / "run"), load_state(here / "whole")
    for name in ("m", "v"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert np.array_equal(one.param, other.param)
    assert untimed(here / "run" / "metrics.jsonl") == untimed(here / "whole" / "metrics.jsonl")


@unix
def test_a_reader_who_leaves_costs_no_run(here):
    program = shlex.join([*PROGRAM, *LONG])
    for pipe in ("| head -1", "2>&1 >/dev/null | head -3"):
        result = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {program} {pipe}"], capture_output=True, text=True
        )
        assert result.returncode == 4  # done and saved, but some of the output was lost
        assert len(result.stdout.splitlines()) == int(pipe[-1])
        assert "Traceback" not in result.stdout + result.stderr
        assert "BrokenPipe" not in result.stdout + result.stderr
        assert load_state(here / "run").step == 20000
        (here / "run").rename(here / f"run{pipe[-1]}")


@unix
def test_pipes_that_close(here):
    run(*LONG, "--steps", "20")
    run("bench", "3", "--seq-len", "8")  # from now on nothing is said of compiling
    # readers of one byte of much, and of nothing at all
    for arguments, reader in (
        (("generate", "run", "--length", "100000"), "head -c 1"),
        (("info", "run"), "true"),
        (("bench", "3", "--seq-len", "8"), "head -1"),
    ):
        program = shlex.join([*PROGRAM, *arguments])
        command = ["bash", "-c", f"set -o pipefail; {program} | {reader}"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, ""), arguments


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_device_that_is_full(here):
    run(*LONG, "--steps", "20")
    with open("/dev/full", "w") as full:
        result = run("info", "run", code=1, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert result.stderr == "microgpt: standard output: No space left on device\n"


def test_a_prompt_from_a_pipe(here):
    run(*LONG, "--steps", "20")
    result = run("generate", "run", "--prompt", "-", "--length", "9", input="the cat\n")
    # the line break is echo's, and the cat goes on where it stops
    assert result.stdout.startswith("the cat")
    assert len(result.stdout) == 7 + 9 + 1


def test_a_text_from_a_pipe(here):
    command = ("train", *LONG[2:])
    run(*command[:1], "-", *command[1:], "--steps", "20", input=TEXT)
    run("train", "--resume", "run", "--steps", "40", input=TEXT)
    run(*LONG, "--steps", "40", "--out", "file")
    assert np.array_equal(load_state(here / "run").m, load_state(here / "file").m)
    other = run("train", "--resume", "run", "--steps", "60", input=TEXT[1:], code=1)
    assert "text" in other.stderr
    assert run("eval", "run", "-", input=TEXT).stdout == run("eval", "file", "text.txt").stdout.replace(
        "text.txt", "standard input"
    )
    utf16 = run("eval", "run", "-", input=TEXT.encode("utf-16"), text=False, code=1)
    assert b"standard input looks like UTF-16LE" in utf16.stderr


def on_a_terminal(*arguments, stdout_too, environment=None):
    """(exit code, standard output unless it is the terminal too, what the terminal got)."""
    pty = pytest.importorskip("pty", reason="needs a Unix terminal")
    mine, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=terminal,
        stdout=terminal if stdout_too else subprocess.PIPE,
        stderr=terminal,
        env={**PLAIN, "TERM": "xterm-256color", "COLUMNS": "100", **(environment or {})},
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            piece = os.read(mine, 65536)
        except OSError:  # how Linux says that a terminal's other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(mine)
    output = b"" if stdout_too else process.stdout.read()
    if process.stdout:
        process.stdout.close()
    return process.wait(), output.decode(), seen.decode()


COLOUR = re.compile(r"\x1b\[[\d;]*3[0-9][\d;]*m")


def test_a_terminal_shows_a_bar(here):
    # few enough reports for the pipe to hold them until the end
    code, output, seen = on_a_terminal(*LONG, stdout_too=False)
    assert code == 0
    *reports, last = (json.loads(line) for line in output.splitlines())  # nothing of them goes to the bar
    assert [report["step"] for report in reports] == list(range(200, 20001, 200))
    assert last["step"] == 20000
    assert '"step"' not in seen
    bar = r"step \d+/20000  loss \d\.\d{4}  smoothed \d\.\d{4}  [\d,]+ chars/s  \d+ s left"
    assert re.search(bar, seen)
    assert COLOUR.search(seen)
    assert " microgpt generate run " in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_narrow_terminal_keeps_what_matters_most(here, width):
    arguments = [argument for argument in LONG if argument != "--json"]
    code, _, seen = on_a_terminal(*arguments, stdout_too=True, environment={"COLUMNS": str(width)})
    assert code == 0
    assert re.search(r"step \d+/20000 .*\d s left", seen)
    assert (" chars/s" in seen) == (width == 100)
    # lines break between words, and the bar is gone at the end
    assert "characters" in seen
    assert seen.rindex("step 20000 of 20000") > seen.rindex("s left")


def test_a_narrow_terminal_breaks_no_words(here):
    run(*LONG, "--steps", "20", "--backend", "reference", "--val-fraction", "0.1")
    for arguments in (("info", "run"), ("runs", "."), ("backends",)):
        whole = run(*arguments).stdout.split()
        narrow = {"COLUMNS": "60", "TERM": "dumb"}
        code, _, seen = on_a_terminal(*arguments, stdout_too=True, environment=narrow)
        assert code == 0
        assert max(map(len, seen.splitlines())) <= 60
        assert all(word in whole or word.endswith("...") for word in seen.split())


def test_a_simple_terminal_gets_lines(here):
    arguments = [argument for argument in LONG if argument != "--json"]
    code, _, seen = on_a_terminal(*arguments, stdout_too=True, environment={"TERM": "dumb"})
    assert code == 0
    assert "\x1b" not in seen
    assert "\rstep" not in seen
    assert seen.count("\r\nstep ") >= 20


def test_a_text_with_control_codes_does_not_drive_the_terminal(here):
    (here / "text.txt").write_text("\x1b[2J\x1b]0;title\x07 hi\n" * 50)
    arguments = [argument for argument in LONG if argument != "--json"]
    code, _, seen = on_a_terminal(*arguments, "--steps", "300", stdout_too=True)
    assert code == 0
    assert r"\x1b[2J" in seen
    assert "\x1b[2J" not in seen
    code, _, seen = on_a_terminal("generate", "run", stdout_too=True)
    assert "\x1b" not in seen
    assert b"\x1b[2J" in subprocess.run([*PROGRAM, "generate", "run"], capture_output=True).stdout


def test_copies_are_underlined_on_a_terminal(here):
    run(*LONG, "--steps", "2", "--ngrams", "6", "--backend", "reference")
    generate = ("generate", "run", "--novelty", "--temperature", "0", "--backend", "reference")
    code, _, seen = on_a_terminal(*generate, stdout_too=True)
    assert code == 0
    assert max(map(len, re.findall(r"\x1b\[4m(.*?)\x1b\[0m", seen, re.DOTALL))) > 20
    assert "novelty: " in seen
    _, _, simple = on_a_terminal(*generate, stdout_too=True, environment={"TERM": "dumb"})
    assert "\x1b" not in simple
    assert run(*generate).stdout.splitlines() == simple[: simple.index("novelty: ")].splitlines()


def test_no_colours_where_none_are_wanted(here):
    arguments = [argument for argument in LONG if argument != "--json"]
    code, _, seen = on_a_terminal(*arguments, stdout_too=True, environment={"NO_COLOR": "1"})
    assert code == 0
    assert " chars/s" in seen
    assert not COLOUR.search(seen)
    code, _, seen = on_a_terminal("--help", stdout_too=True, environment={"NO_COLOR": "1"})
    assert "Usage" in seen
    assert not COLOUR.search(seen)


def test_no_bar_off_a_terminal_even_where_colours_are_forced(here):
    result = run(*LONG, "--steps", "200", env={**PLAIN, "FORCE_COLOR": "1"})
    assert "\r" not in result.stderr
    assert "\x1b[2K" not in result.stderr


SCREEN, NO_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


def typed_on_a_terminal(arguments, *steps):
    """`microgpt generate run --interactive`, after which the terminal has to be what it was before.

    steps  what happens as soon as the terminal has got something since the step before: bytes are typed, and
           a number is a signal; after SIGTSTP, the program goes on as soon as it is suspended

    Returns the exit code, and what the terminal got once its own screen was back.
    """
    pty = pytest.importorskip("pty", reason="needs a Unix terminal")
    termios = pytest.importorskip("termios", reason="needs a Unix terminal")
    mine, terminal = pty.openpty()
    before, while_suspended = termios.tcgetattr(terminal), []
    with subprocess.Popen(
        [*PROGRAM, "generate", "run", "--interactive", "--backend", "reference", *arguments],
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={**PLAIN, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}, process_group=0,
    ) as process:  # fmt: skip
        seen, done, left, end = b"", 0, list(steps), time.monotonic() + 60
        while process.poll() is None or select.select([mine], [], [], 0)[0]:
            if time.monotonic() > end:
                process.kill()
            if select.select([mine], [], [], 0.1)[0]:
                seen += os.read(mine, 65536)
            elif left and left[0][0] in seen[done:]:  # and nothing more comes
                act, done = left.pop(0)[1], len(seen)
                os.write(mine, act) if isinstance(act, bytes) else process.send_signal(act)
                if act == signal.SIGTSTP:
                    os.waitpid(process.pid, os.WUNTRACED)
                    while_suspended.append(termios.tcgetattr(terminal))
                    process.send_signal(signal.SIGCONT)
    assert not left
    assert all(attributes == before for attributes in while_suspended)
    assert termios.tcgetattr(terminal) == before
    os.close(terminal)
    os.close(mine)
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")  # the cursor is back
    assert seen.rindex(NO_SCREEN) > seen.rindex(SCREEN)
    return process.returncode, seen[seen.rindex(NO_SCREEN) + len(NO_SCREEN) :].decode().replace("\r\n", "\n")


def test_typing_ends_with_the_text_and_the_terminal_as_it_was(here):
    run(*LONG, "--steps", "20", "--backend", "reference")
    prompt = ("--prompt", "the", "--seed", "4")
    written = run("generate", "run", *prompt, "--length", "60", "--backend", "reference").stdout[3:]
    taken = (written.partition("\n")[0] + "\n")[:40]  # the rest of a line
    unknown = "the model does not know 'é' (U+00E9)".encode()
    for end in (b"\x03", b"\x04", b"\x1b"):  # Ctrl-C, Ctrl-D, Escape
        steps = [(SCREEN, "\té".encode()), (unknown, b"\x1b[C" + end)]
        assert typed_on_a_terminal(prompt, *steps) == (0, f"the{written[: len(taken) + 1]}\n")
    steps = [(SCREEN, b"cat"), (b"in 3 characters", signal.SIGTERM)]
    assert typed_on_a_terminal((), *steps) == (130, "microgpt: interrupted\n")
    steps = [(SCREEN, b"ca"), (b"in 2 characters", signal.SIGTSTP), (b"in 2 characters", b"t\x03")]
    assert typed_on_a_terminal((), *steps) == (0, "cat\n")


def test_the_command_line_imports_nothing_heavy():
    heavy = ("numpy", "numba", "scipy", "safetensors", "llvmlite", "rich.progress", "tomli_w")
    code = f"import sys, microgpt.cli.app; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_what_trains_is_imported_by_what_trains(here):
    run(*LONG, "--steps", "1")
    code = (
        "import sys\nfrom microgpt.cli.app import app\n"
        "app(['info', 'run'], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith(('microgpt.training.', 'microgpt.use.'))])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help")])
def test_help_is_fast(arguments):
    """About 0.2 s of processor time; the limit is for machines that are slower and busy."""
    resource = pytest.importorskip("resource", reason="only Unix says how much time a process has used")
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.6


def test_the_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version").stdout)
