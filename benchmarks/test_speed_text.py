"""Reading a text: from a file to ids."""

import numpy as np
import pytest

from microgpt.text.reading import read_text

MEGABYTES = 100


@pytest.mark.parametrize(
    "letters", ["abcdefghijklmnopqrstuvwxyz .,\n", "aäbcdeéfgh—ijkßlmnжз \n"], ids=["ascii", "utf-8"]
)
def test_read(benchmark, tmp_path, letters):
    drawn = np.random.default_rng(0).choice(list(letters), 1_000_000)
    piece = "".join(drawn).encode()
    path = tmp_path / "text.txt"
    path.write_bytes(piece * (MEGABYTES * 1_000_000 // len(piece)))
    benchmark.group = f"{MEGABYTES} MB to ids"
    text = benchmark.pedantic(read_text, (path,), rounds=5)
    assert len(text.vocabulary) == len(letters)
    benchmark.extra_info["MB/s"] = path.stat().st_size / 1e6 / benchmark.stats.stats.median
