"""The progress that a checkpoint keeps: what no training loop comes to is refused."""

import math

import pytest
from saved_examples import in_part, in_training, refused_when_forged

from microgpt.checkpoint.progress import BEGINNING
from microgpt.checkpoint.saved import STATE_FILE

FORGED = [
    ("its progress: 'average' is missing", in_part("training", progress={})),
    ("its progress: average = '1' should be a number", in_training("progress", average="1")),
    ("its progress: count = 1.0 should be a whole number", in_training("progress", count=1.0)),
    ("its progress: evaluation_due = 1 should be true or", in_training("progress", evaluation_due=1)),
    ("its progress: val_loss = [] should be a number", in_training("progress", val_loss=[])),
    ("its progress: average = 9", in_training("progress", average=int("9" * 400))),
    ("its progress cannot be: average is nan", in_training("progress", average=math.nan)),
    ("its progress cannot be: best_val_loss is inf", in_training("progress", best_val_loss=math.inf)),
    ("its progress cannot be: count is -1", in_training("progress", count=-1)),
    ("its progress cannot be: network_val_loss is nan", in_training("progress", network_val_loss=math.nan)),
    (
        "its progress cannot be: best_step is 9223372036854775808",
        in_training("progress", best_step=1 << 63),
    ),
]


@pytest.mark.parametrize(("message", "change"), FORGED, ids=[str(i) for i in range(len(FORGED))])
def test_progress_that_no_training_loop_comes_to_is_refused(tmp_path, message, change):
    sentence = refused_when_forged(tmp_path, change)
    assert message in sentence
    assert len(sentence) < 300 + len(str(tmp_path / STATE_FILE))


def test_of_equal_losses_the_last_is_the_best():
    """As those of n-grams, where the network has no weight yet."""
    progress = BEGINNING
    for step, loss in ((10, 2.0), (20, 2.0), (30, 2.5)):
        if progress.is_best(loss):
            progress = progress.with_best(loss, step)
    assert (progress.best_val_loss, progress.best_step) == (2.0, 20)
