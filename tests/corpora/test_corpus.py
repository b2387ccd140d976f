import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from microgpt.corpora import corpus, puzzles, tales
from microgpt.errors import MicrogptError

SHIPPED = Path(__file__).parents[2] / "data" / "input.txt"
PLAY = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 3000


def ignore(done, total):
    pass


def refused(function, *arguments):
    with pytest.raises(MicrogptError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def serve(monkeypatch):
    """Lets `SHAKESPEARE_URL` answer with the given bytes and length."""
    servers = []

    def start(body, length=None, status=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(corpus, "SHAKESPEARE_URL", f"http://127.0.0.1:{server.server_port}/input.txt")

    monkeypatch.setattr(corpus, "SHAKESPEARE_BYTES", len(PLAY))
    monkeypatch.setattr(corpus, "SHAKESPEARE_SHA256", hashlib.sha256(PLAY).hexdigest())
    monkeypatch.setenv("no_proxy", "*")
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# The tales


def test_the_shipped_text_is_what_the_grammar_writes():
    text = tales.write(corpus.TALES_CHARACTERS, corpus.TALES_SEED)
    assert SHIPPED.read_bytes() == text.encode("ascii")
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == corpus.TALES_SHA256


def test_known_entropy():
    assert corpus.known_entropy(corpus.TALES_SHA256) == tales.entropy_rate()
    for name, sha256 in corpus.PUZZLES_SHA256.items():
        assert corpus.known_entropy(sha256) == puzzles.entropy_rate(name)
    assert corpus.known_entropy(corpus.SHAKESPEARE_SHA256) is None


def test_importing_is_light():
    heavy = {"numpy", "urllib.request", "microgpt.corpora.tales", "microgpt.corpora.puzzles"}
    code = f"import sys, microgpt.corpora.corpus; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_write_tales(tmp_path):
    path = tmp_path / "new" / "tales.txt"
    corpus.write_tales(path)
    assert path.read_bytes() == SHIPPED.read_bytes()
    before = path.stat().st_mtime_ns
    corpus.write_tales(path)
    assert path.stat().st_mtime_ns == before
    assert list(path.parent.iterdir()) == [path]


def test_write_puzzles(tmp_path):
    assert corpus.PUZZLES_SHA256.keys() == puzzles.TEXTS.keys()
    for name, sha256 in corpus.PUZZLES_SHA256.items():
        path = tmp_path / name
        size = corpus.write_puzzles(name, path)
        assert size == path.stat().st_size == corpus.PUZZLES_LINES * puzzles.LINE
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    assert "holds another text" in refused(corpus.write_puzzles, "nearest", tmp_path / "mixed")


def test_another_text_is_kept(tmp_path, serve):
    serve(PLAY)
    path = tmp_path / "input.txt"
    path.write_text("my own diary")
    for message in [
        refused(corpus.write_tales, path),
        refused(corpus.download_shakespeare, path, ignore),
    ]:
        assert str(path) in message
        assert "--out" in message
    assert path.read_text() == "my own diary"


def test_a_folder_is_not_a_text(tmp_path):
    assert str(tmp_path) in refused(corpus.write_tales, tmp_path)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "input.txt"
    assert str(path) in refused(corpus.write_tales, path)


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    assert "No space left" in refused(corpus.write_tales, tmp_path / "tales.txt")
    assert list(tmp_path.iterdir()) == []


def test_standard_output(tmp_path, serve, capfdbinary, monkeypatch):
    serve(PLAY)
    monkeypatch.chdir(tmp_path)
    for name in ("-", "/dev/stdout"):
        assert corpus.write_tales(Path(name)) == len(SHIPPED.read_bytes())
        assert capfdbinary.readouterr().out == SHIPPED.read_bytes()
        assert corpus.download_shakespeare(Path(name), ignore) == len(PLAY)
        assert capfdbinary.readouterr().out == PLAY
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("sys.stdout", None)
    assert "no standard output" in refused(corpus.write_tales, Path("-"))


def test_full_devices():
    assert refused(corpus.write_tales, Path("/dev/full")) == "cannot write /dev/full: No space left on device"
    code = """
import pathlib, microgpt.corpora.corpus
try:
    microgpt.corpora.corpus.write_tales(pathlib.Path("-"))
except microgpt.errors.MicrogptError as error:
    raise SystemExit(str(error))
"""
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.stderr == "cannot write to standard output: No space left on device\n"


def test_pipes_and_devices(tmp_path):
    corpus.write_tales(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "nobody reads this pipe" in refused(corpus.write_tales, pipe)
    received = []
    tales = SHIPPED.read_bytes()
    # open for both, so that there is a reader from the beginning
    with open(os.open(pipe, os.O_RDWR), "rb") as reading:
        # more than a pipe holds: the writer has to wait for the reader
        thread = threading.Thread(target=lambda: received.append(corpus.write_tales(pipe)))
        thread.start()
        assert reading.read(len(tales)) == tales
        thread.join()
    assert received == [len(tales)]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert "is a block device or a socket" in refused(corpus.write_tales, tmp_path / "socket")
    assert "is not a file name" in refused(corpus.write_tales, Path("a\0b"))
    assert r"/caf\udce9 holds another text" in refused(corpus.write_tales, named(tmp_path / "caf\udce9"))


def named(path):
    path.write_text("my own diary")
    return path


# Tinyshakespeare


def test_download(tmp_path, serve):
    serve(PLAY)
    path = tmp_path / "input.txt"
    told = []
    corpus.download_shakespeare(path, lambda done, total: told.append((done, total)))
    assert path.read_bytes() == PLAY
    assert list(tmp_path.iterdir()) == [path]
    assert told == sorted(told)
    assert told[-1] == (len(PLAY), len(PLAY))


def test_download_is_not_repeated(tmp_path, serve):
    serve(b"", status=500)
    path = tmp_path / "input.txt"
    path.write_bytes(PLAY)
    corpus.download_shakespeare(path, ignore)
    assert path.read_bytes() == PLAY


@pytest.mark.parametrize(
    "answer",
    [
        {"body": PLAY[:-1] + b"?"},
        {"body": PLAY + b"more"},
        {"body": PLAY[:5000]},
        {"body": PLAY[:5000], "length": len(PLAY)},
        {"body": b"", "status": 404},
    ],
    ids=["changed", "too long", "too short", "cut off", "not found"],
)
def test_a_wrong_answer_writes_nothing(tmp_path, serve, answer):
    serve(**answer)
    assert corpus.SHAKESPEARE_URL in refused(corpus.download_shakespeare, tmp_path / "input.txt", ignore)
    assert list(tmp_path.iterdir()) == []


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(corpus, "SHAKESPEARE_URL", "http://127.0.0.1:9/input.txt")
    message = refused(corpus.download_shakespeare, tmp_path / "input.txt", ignore)
    assert "network" in message
    assert list(tmp_path.iterdir()) == []
