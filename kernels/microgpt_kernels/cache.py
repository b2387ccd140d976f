"""Where compiled kernels are kept between runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs

import microgpt_kernels


def directory(*versions: str) -> Path:
    """A folder named by all that goes into the machine code: compilers of these versions, and the sources."""
    root = Path(os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_path("microgpt"))
    digest = hashlib.sha256()
    for version in versions:
        digest.update(version.encode())
    for source in sorted(Path(microgpt_kernels.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return root / digest.hexdigest()[:16]


def tell(line: str) -> None:
    print(line)


def n_compiled() -> int:
    return 0
