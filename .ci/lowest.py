"""Prints the lowest version of each dependency that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in (*project["dependencies"], *project["optional-dependencies"]["test"]):
    lowest = re.match(r"([\w.-]+)(?:\[.*\])?>=([\w.]+)", requirement)
    if lowest is None:
        raise SystemExit(
            f"pyproject.toml: {requirement!r} does not begin with a lowest version, like numpy>=2.0"
        )
    print(f"{lowest[1]}=={lowest[2]}")
