"""The film of a run: each of its pictures is what an X-ray of that snapshot has."""

import dataclasses
import json

import numpy as np
import pytest
from microgpt_kernels import load
from reporters import Silent

from microgpt import load as load_from_python
from microgpt.checkpoint.saved import load_model
from microgpt.checkpoint.snapshots import snapshot_file, snapshots
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.model.placed import place
from microgpt.training.train import train
from microgpt.xray.as_json import as_json
from microgpt.xray.film import Film, film
from microgpt.xray.table import lines
from microgpt.xray.xray import xray

TEXT = "the cat sat on the mat;\na dog ate the hat.\n" * 12


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with the snapshots of steps 0, 10 and 40."""
    directory = tmp_path_factory.mktemp("film")
    (directory / "text.txt").write_text(TEXT)
    config = TrainConfig(
        file=str(directory / "text.txt"), out=str(directory / "run"), steps=40, snapshots=3,
        backend="reference", seq_len=10, batch_size=2, d_model=6, heads="1+2+3", n_layers=2, lr=0.01,
    )  # fmt: skip
    train(config, Silent())
    return directory / "run"


def film_of(trained, files=None, **changes):
    model = load_model(trained)
    ids = model.vocabulary.encode(TEXT[:71]).astype(np.uint8)
    files = snapshots(trained) if files is None else files
    architecture = dataclasses.replace(model.architecture, **changes)
    return film(load("reference"), architecture, model.vocabulary, files, ids, Silent())


def test_each_picture_is_the_x_ray_of_its_snapshot(trained):
    found = film_of(trained)
    assert found.steps.tolist() == [0, 10, 40]
    assert found.bits[-1] < found.bits[0]
    for i, path in enumerate(snapshots(trained).values()):
        model = load_model(path)
        placed = place(load("reference"), model.architecture, Budget(None))
        model.read_into(placed.k, {"": placed.param})
        ids = model.vocabulary.encode(TEXT[:71]).astype(np.uint8)
        expected = xray(placed, model.vocabulary, ids, "", {}, Silent())
        looks = expected.patterns
        for name, values in {
            "bits": expected.bits.mean(),
            "without_attention": expected.ablations.all_off,
            "ablation": expected.ablations.mean.bits,
            "gradient_importance": expected.gradient_importance,
            "induction": expected.induction,
            "previous": looks.offsets[:, 0],
            **{n: getattr(looks, n) for n in ("first", "same", "newline", "word_start", "entropy", "reach")},
        }.items():
            assert getattr(found, name)[i] == pytest.approx(values, rel=1e-6, abs=1e-7, nan_ok=True), name
    shapes = {field.name: getattr(found, field.name).shape for field in dataclasses.fields(Film)}
    of_the_model = {"steps", "bits", "without_attention"}
    assert shapes == {name: (3,) if name in of_the_model else (3, 6) for name in shapes}


def test_it_is_a_part_of_the_x_ray_in_json_and_on_a_terminal(trained):
    x = load_from_python(trained, backend="reference").xray(TEXT[:71], film=True)
    found, told = film_of(trained), json.loads(json.dumps(as_json(x), allow_nan=False))["film"]
    assert x.film.steps.tolist() == told["steps"] == [0, 10, 40]
    assert told["bits"] == pytest.approx(found.bits, abs=1e-5)
    assert told["without_attention"] == pytest.approx(found.without_attention, abs=1e-5)
    for h, head in enumerate(told["heads"]):
        looks = head.pop("patterns")
        assert looks.keys() == {"previous", "first", "same", "newline", "word_start", "induction"}
        assert head.keys() == {"ablation", "gradient_importance", "entropy", "reach"}
        for name, values in {**head, **looks}.items():
            assert values == pytest.approx(getattr(found, name)[:, h], abs=1e-5), name
    shown = lines(x)
    assert shown[-7].split() == ["head", "0", "10", "40"]
    assert shown[-1].split() == ["2.3", *(f"{bits:.4f}" for bits in found.ablation[:, 5])]


def test_the_terminal_gets_some_steps_of_many_and_the_last_one(trained, monkeypatch):
    x = load_from_python(trained, backend="reference").xray(TEXT[:71], film=True)
    monkeypatch.setattr("microgpt.xray.table.MOST_STEPS", 2)
    assert lines(x)[-7].split() == ["head", "0", "40"]


def test_a_model_without_snapshots_says_how_there_would_be_some(trained, tmp_path):
    model = load_from_python(trained, backend="reference")
    model.save(tmp_path / "copy.safetensors")
    copy = load_from_python(tmp_path / "copy.safetensors", backend="reference")
    with pytest.raises(
        MicrogptError, match=r".* has no snapshots: `microgpt train TEXT --snapshots 60` keeps those of a run"
    ):
        copy.xray(TEXT, film=True)


def test_a_file_that_is_no_snapshot_of_the_model_is_named(trained):
    with pytest.raises(
        MicrogptError, match=r"model\.safetensors is no snapshot of this model, but of another"
    ):
        film_of(trained, {0: trained / "model.safetensors"}, heads=((6,), (6,)))
    with pytest.raises(MicrogptError, match=r"000007\.safetensors"):
        film_of(trained, {7: snapshot_file(trained, 7)})
