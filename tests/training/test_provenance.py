"""What a run writes down of its beginning, and of each time that it was resumed."""

import platform
import re

from reporters import Silent, resume

from microgpt import __version__
from microgpt.checkpoint.saved import load_state
from microgpt.config import TrainConfig
from microgpt.training.logs import starts
from microgpt.training.train import train


def test_each_start_has_a_line(tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat; a dog ate the hat.\n" * 12)
    out = tmp_path / "run"
    config = TrainConfig(
        file=str(tmp_path / "text.txt"), out=str(out), steps=60, backend="reference", seq_len=8, batch_size=2,
        d_model=16, n_layers=1,
    )  # fmt: skip
    reporter = Silent(stop_at=20)
    train(config, reporter)
    (first,) = starts(out)
    assert (first["step"], first["characters"], first["threads"]) == (0, 43 * 12, reporter.summary.threads)
    assert first["processes"] == 1
    assert first["uniform_entropy"] == reporter.summary.uniform_entropy
    assert first["parameters"] == reporter.summary.parameters
    assert (first["microgpt"], first["python"]) == (__version__, platform.python_version())
    assert first["backend"].startswith("NumPy ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", first["at"])
    step = load_state(out).step
    resume(config, Silent(), out)
    again, second = starts(out)
    assert again == first
    assert second["step"] == step
    assert second["elapsed_s"] > 0
