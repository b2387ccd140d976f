"""benchmarks/local_steps.py: what its table says of losses that are known."""

import pytest

from benchmarks.local_steps import loss_of, table


def test_replicas_are_compared_seed_by_seed():
    losses = {"one model": [1.0, 2.0, 4.0], "replicas": [1.01, 2.04, 4.12]}
    header, _, one, replicas = table(losses)
    assert header == "| way | loss | above one model |"
    assert one == "| one model | 2.3333 |  |"
    # 1, 2 and 3 percent; of three values Student's t is 4.303, and their deviation 1
    assert replicas == "| replicas | 2.3900 | +2.00% (-0.48 to +4.48) |"
    assert table({"one model": [2.0], "replicas": [1.0]})[-1] == "| replicas | 1.0000 | -50.00% |"


def test_both_ways_are_trained(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat; a dog ate the hat.\n" * 60)
    given = {"steps": 4, "backend": "reference", "d_model": 16, "heads": "16", "seq_len": 8}
    one, two = (
        loss_of(text, 1, **given, **way)
        for way in ({"batch_size": 4}, {"batch_size": 2, "replicas": 2, "local_steps": 2})
    )
    assert one != two
    assert 1 < one < 4
    assert two == pytest.approx(one, abs=1)
