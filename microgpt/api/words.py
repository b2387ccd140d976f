"""Errors as Python users need them: an option is a keyword argument, not a flag of the command line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from microgpt_kernels import BackendError

from microgpt.errors import MicrogptError


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Write options in errors as `seq_len=128`, not `--seq-len 128`; commands to paste stay as they are."""

    def rename(match: re.Match[str]) -> str:
        if match["option"] is None:
            return match[0]
        name = {"from": "weights"}.get(match["option"], match["option"].replace("-", "_"))
        return f"{name}=" if match["value"] else name

    try:
        yield
    except BackendError as error:
        raise MicrogptError(str(error)) from None
    except MicrogptError as error:
        pattern = (
            r"microgpt [a-z]+ [^;]*|(?<![\w-])--(?P<option>[a-z][a-z0-9-]*[a-z0-9])(?P<value> (?=[\d'.]))?"
        )
        raise type(error)(re.sub(pattern, rename, str(error))) from None
