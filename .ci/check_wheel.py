"""Fails unless a wheel holds both packages whole, all rooms and types, and the licence, and nothing else."""

import subprocess
import sys
import zipfile

names = {name for name in zipfile.ZipFile(sys.argv[1]).namelist() if not name.endswith("/")}
tracked = subprocess.run(
    ["git", "ls-files", "microgpt", "kernels/microgpt_kernels"], capture_output=True, text=True, check=True
).stdout.splitlines()
expected = {name.removeprefix("kernels/") for name in tracked}
expected |= {"microgpt/py.typed", "microgpt_kernels/py.typed"}
rooms = {"/".join(name.split("/")[:-1]) for name in expected if name.endswith(".py")}
about = {name for name in names if name.split("/")[0].endswith(".dist-info")}

wrong = [f"{name} is missing" for name in sorted(expected - names)]
wrong += [f"{name} does not belong there" for name in sorted(names - about - expected)]
wrong += [f"{room}/__init__.py is missing" for room in sorted(rooms) if f"{room}/__init__.py" not in names]
if not any(name.endswith("/licenses/LICENSE") for name in about):
    wrong.append("LICENSE is missing")
print(f"{sys.argv[1]}: {len(names)} files" + "".join(f"\n{line}" for line in wrong))
sys.exit(bool(wrong))
