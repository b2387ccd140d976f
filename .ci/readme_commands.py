"""Writes the README's commands, the code blocks marked `sh command`, to a file each.

A run for a time is as much of a check if it is short, so each gets three seconds.
"""

import re
import sys
from pathlib import Path

readme, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True)
blocks = re.findall(
    r"^```sh command\n(.*?)^```", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
for number, block in enumerate(blocks, 1):
    short = re.sub(r"--minutes [\d.]+", "--minutes 0.05", block)
    (out / f"{number}.sh").write_text(short, encoding="utf-8")
