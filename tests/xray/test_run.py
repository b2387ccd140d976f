"""What an X-ray says of its run, and what it keeps for itself."""

import json
from pathlib import Path

from microgpt.config import TrainConfig
from microgpt.xray.run import described, name_of


def test_the_run_has_a_name_and_options_but_no_paths():
    config = TrainConfig(
        "/home/me/secret/my.txt", heads="prime", out="/home/me/runs/x", weights="/home/me/runs/y"
    )
    notes = {"step": 7, "text": "/home/me/secret/my.txt"}
    found = described(Path("/home/me/runs/x/best.safetensors"), notes, config, "crystal", 6)
    assert (found["name"], found["step"], found["text"]) == ("x", 7, "my.txt")
    assert (found["backend"], found["ngrams"], found["options"]["heads"]) == ("crystal", 6, "prime")
    assert "/home" not in json.dumps(found)


def test_a_file_of_another_name_and_a_model_in_memory():
    found = described(Path("sent/by-a-friend.safetensors"), {}, None, "reference", None)
    assert found == {
        "name": "by-a-friend", "step": None, "text": None, "options": None, "backend": "reference",
        "ngrams": None,
    }  # fmt: skip
    assert name_of(Path("runs/x/snapshots/000008.safetensors")) == "x, step 8"
    assert name_of(Path("runs/x/snapshots/../model.safetensors")) == "x"
    assert described(None, {"text": "<text>"}, None, "reference", None)["name"] is None
