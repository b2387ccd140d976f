"""Fails unless the smoothed loss at the end of a run's JSON lines is below a value."""

import json
import sys
from pathlib import Path

result = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()[-1])
limit = float(sys.argv[2])
print(f"smoothed loss {result['loss']:.4f} after {result['step']} steps, must be below {limit}")
sys.exit(not result["loss"] < limit)
