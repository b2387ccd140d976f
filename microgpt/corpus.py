"""Texts to train on: the tales that ship with microgpt, and tinyshakespeare from the network."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from microgpt.errors import MicrogptError
from microgpt.files import write_atomically

TALES_SEED = 1
TALES_CHARACTERS = 1_000_000
TALES_SHA256 = "e0c32c7b12bbc77af1a4efa513951ee7371b0914b00b585329a20d06009f46af"

SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_BYTES = 1_115_394
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def known_entropy(sha256: str) -> float | None:
    """The entropy rate of the text with this SHA-256 in nats per character, where it is known."""
    if sha256 != TALES_SHA256:
        return None
    from microgpt.tales import entropy_rate  # parses the grammar, which most commands do not need

    return entropy_rate()


def write_tales(path: Path) -> None:
    """Write the tales that ship with microgpt to `path`, unless another text is there: that is an error."""
    if not _is_there(path, TALES_SHA256):
        from microgpt.tales import write

        write_atomically(path, write(TALES_CHARACTERS, TALES_SEED).encode("ascii"))


def download_shakespeare(path: Path, progress: Callable[[int, int], None]) -> None:
    """Download tinyshakespeare to `path`; `progress` is told the bytes so far and the bytes in all."""
    if not _is_there(path, SHAKESPEARE_SHA256):
        data = _download(SHAKESPEARE_URL, SHAKESPEARE_BYTES, progress)
        if len(data) != SHAKESPEARE_BYTES or hashlib.sha256(data).hexdigest() != SHAKESPEARE_SHA256:
            raise MicrogptError(
                f"{SHAKESPEARE_URL} sent {len(data):,} bytes that are not tinyshakespeare"
                f" ({SHAKESPEARE_BYTES:,} bytes, checked by SHA-256): nothing was written; try again later"
            )
        write_atomically(path, data)


def _is_there(path: Path, sha256: str) -> bool:
    """Whether `path` holds this text already; an error if it holds anything else."""
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise MicrogptError(f"cannot read {path}: {error.strerror}") from error
    raise MicrogptError(f"{path} holds another text, which was kept: choose another file with --out")


def _download(url: str, size: int, progress: Callable[[int, int], None]) -> bytes:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    data = bytearray()
    try:
        with urlopen(url, timeout=30) as response:
            # one byte more than expected is enough to know that it is the wrong file
            while len(data) <= size and (chunk := response.read(min(65536, size + 1 - len(data)))):
                data += chunk
                progress(len(data), size)
    except HTTPError as error:
        with error:  # it is the answer of the server, too, and has to be closed
            raise MicrogptError(f"cannot download {url}: {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        raise MicrogptError(f"cannot download {url}: {reason}; is there a network?") from error
    return bytes(data)
