"""Files of older versions: they load, generate, evaluate and go on as they did.

Format 1 is written here as version 0.1 wrote it. tests/data holds two runs of 30 steps in format 2, trained
on TEXT by the last commit that wrote that format (0e79f0e), and one in formats 3 and 4 (30c0931); all
expected values are what those commits got:

    microgpt train text.txt --steps 30 --out learned --d-model 8 --heads 3+5 --n-layers 1 --seq-len 16 \
        --batch-size 2 --order shuffled --lr 0.01 --threads 1
    microgpt train text.txt --steps 30 --out rope --d-model 6 --heads "1+5|6" --n-layers 2 --seq-len 12 \
        --positions rope --dtype float64 --lr 0.06 --weight-decay 0.1 --clip 0.5 --warmup 5 \
        --val-fraction 0.2 --eval-every 7 --threads 1
    microgpt train text.txt --steps 30 --out relu --d-model 6 --heads 1+5 --n-layers 1 --seq-len 12 \
        --batch-size 2 --dtype float64 --lr 0.03 --schedule constant --ngrams 2 --threads 1
"""

import dataclasses
import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from saved_examples import (
    VOCABULARY,
    arrays_of,
    forge,
    refused,
    resume,
    same_model,
    same_state,
    save,
    state_of,
)
from typer.testing import CliRunner

from microgpt.checkpoint.file import FORMAT
from microgpt.checkpoint.progress import Progress
from microgpt.checkpoint.saved import MODEL_FILE, STATE_FILE, load_model, load_state
from microgpt.cli.app import app
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.model.parameters import table

# What a model of format 6 says of itself, and none before format 5
LATER_NAMES = ("activation", "token_shift", "attention_scale")


def save_format_1(path, state, arrays, progress, **options):
    """As version 0.1 wrote it: strings for each part, and a checksum over the sorted entries."""
    rows = table(state.architecture.sizes)
    tensors = {
        prefix + row.name.replace("unembed", "head"): array[row.low : row.high].reshape(row.shape)
        for prefix, array in zip(("", "m.", "v."), arrays, strict=True)
        for row in rows
    }
    resolved = dataclasses.asdict(dataclasses.replace(state.config.resolved(), **options))
    given = {name: value for name, value in resolved.items() if value is not None and name not in LATER_NAMES}
    model = dataclasses.asdict(state.architecture)
    for name in LATER_NAMES:
        del model[name]
    metadata = {
        "microgpt": "1",
        "vocabulary": VOCABULARY.characters,
        "model": json.dumps(model),
        "notes": json.dumps(state.notes),
        "training": json.dumps({"options": given, "step": state.step, "progress": progress}),
    }
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor).data)
    safetensors.numpy.save_file(tensors, path, metadata | {"sha256": digest.hexdigest()})


PROGRESS_1 = {
    "smoothed_loss": 2.5, "val_loss": 2.25, "best_val_loss": None, "elapsed_s": 3.5,
    "recent": [5.5, 2.5, 2.0, 0.25],
}  # fmt: skip


def test_a_file_of_format_1_is_loaded_bit_for_bit(tmp_path):
    state = state_of()
    arrays = arrays_of(state)
    save_format_1(tmp_path / STATE_FILE, state, arrays, PROGRESS_1, out="runs/x")
    loaded = load_state(tmp_path)
    assert same_model(load_model(tmp_path / STATE_FILE), state, arrays[0])
    assert loaded.m.tobytes() + loaded.v.tobytes() == arrays[1].tobytes() + arrays[2].tobytes()
    assert loaded.config == state.config
    # the least rate, a tenth of the old one, was written out, and does not stand against the new one
    with pytest.raises(
        MicrogptError, match=r"exactly: --lr was 0\.000\d+ and is now 1e-06; resume it as it was"
    ):
        resume(loaded, lr=1e-6)
    assert loaded.progress == Progress(
        average=2.5 * (1 - 0.99**7), val_loss=2.25, best_val_loss=None, best_step=None, loss_sum=5.5,
        norm_sum=2.5, count=2, evaluation_due=False,
    )  # fmt: skip
    resume(loaded, steps=100)
    damaged = bytearray((tmp_path / STATE_FILE).read_bytes())
    damaged[-5] ^= 1
    (tmp_path / STATE_FILE).write_bytes(damaged)
    assert "it is damaged, its contents do not match its checksum" in refused(
        load_state, tmp_path / STATE_FILE
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recent": [1.0, 2.0]}, "its progress cannot be: recent is (1.0, 2.0)"),
        ({"recent": [1.0, 2.0, math.inf, 0.0]}, "its progress cannot be: recent is"),
        ({"recent": 5}, "its progress: recent = 5 should be"),
        ({"smoothed_loss": "low"}, "its progress: smoothed_loss = 'low' should be a number"),
        ({"smoothed_loss": math.nan}, "its progress cannot be: average is nan"),
    ],
)
def test_the_progress_of_format_1_is_checked_too(tmp_path, change, message):
    save_format_1(tmp_path / "x", state := state_of(), arrays_of(state), PROGRESS_1 | change)
    assert message in refused(load_state, tmp_path / "x")


# --- format 2 ---------------------------------------------------------------------------------------


DATA = Path(__file__).parents[1] / "data"
TEXT = (
    "the cat sat on the mat; a dog ate the hat.\n"
    "the naïve dog sat on a café table, and the cat ate the mat!\n"
) * 6
BEST, LAST = (), ("--last",)
# a run and which of its weights: the text at temperature 0, a sampled one, the loss on TEXT
GOT = {
    ("learned", BEST): (
        "a at a a a a a a a at a a a at a a a a a",
        "l .a ota  a e a hf  afta, ea hethe ebet s\n"
        " tt  a nbc.a he atad  ednts.ca aft he athe g nt thet  eta sa  athcet afg a et ",
        2.052139653185778,
    ),
    ("rope", BEST): (
        "a a a a at a a a a a at a a a a at a a a",
        "t a athe a. e a oa ac t aao atate am.at t\n"
        " vt a  t e c t  asc a e,eht e a ca o aathe\n"
        "lathata t aht at a aod eha e aa gt ",
        2.2484266915057174,
    ),
    ("rope", LAST): (
        "a a a a a a a a a a a a a a a a a a a a ",
        "t a athe a ag a lg a at a m anenha hochat\n"
        " tm a  t; aa t  ahe a eadthae. aam o. athe\n"
        "t thatg t aehe t a amhagha e! a eha",
        2.2741851334393766,
    ),
}
# of the steps 31 to 60 of a run of 60
LOSSES = {
    "learned": [
        2.208590030670166, 1.9176783561706543, 2.029386520385742, 1.9808931350708008, 2.0210700035095215,
        1.990163803100586, 1.8927489519119263, 1.789900779724121, 2.1246910095214844, 2.1029129028320312,
        1.7122764587402344, 1.9107170104980469, 1.8372743129730225, 1.9104876518249512,
        2.0361056327819824, 1.4275753498077393, 1.5468263626098633, 1.6205918788909912,
        1.9976557493209839, 1.7364698648452759, 1.9933135509490967, 1.6418557167053223, 1.570402979850769,
        1.9747411012649536, 1.7606756687164307, 1.564293622970581, 1.829602599143982, 1.7310469150543213,
        1.5095176696777344, 1.4909138679504395,
    ],
    "rope": [
        2.357829812424702, 2.9393735230710885, 2.2139399174194128, 1.9215137483256555, 2.057695738317731,
        1.6612771138456808, 2.2990449480327118, 2.1053632652776844, 2.604392513698068, 2.0830586455664766,
        3.093434598240934, 2.995912548802237, 1.5013367516856153, 1.7503560880796982, 2.0232885011535977,
        2.0968399523514187, 2.301693298183162, 2.1022777579170278, 2.553053293742785, 1.4976623249354646,
        1.8456690626495416, 1.5079003976207923, 1.9164780459401989, 1.7734888688124621,
        2.0786309085408647, 1.6620729309110516, 2.659900826076908, 1.717812146556189, 1.4634358193634551,
        1.1998219245247081,
    ],
}  # fmt: skip
VAL_LOSSES = {
    "learned": {},
    "rope": {
        35: 2.0646758443149187, 42: 1.900421658465201, 49: 1.8649464029722693, 56: 1.6809429526497486,
        60: 1.5954360778101988,
    },
}  # fmt: skip
# How much a loss may differ on another processor or backend, relative to it: at once, and after more training
AT_ONCE = {"learned": 1e-5, "rope": 1e-12}
LATER = {"learned": 1e-4, "rope": 1e-10}
# one of them on compiled kernels too: to compile them takes most of the time
WEIGHTS = [*((name, which, "reference") for name, which in GOT), ("learned", BEST, "crystal")]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("learned", "rope", "relu"):
        shutil.copytree(DATA / name, tmp_path / name)
    (tmp_path / "text.txt").write_bytes(TEXT.encode())
    return tmp_path


def lines(*arguments):
    """What a command prints as JSON lines."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("name", ["learned", "rope"])
def test_runs_of_format_2_are_loaded_byte_for_byte(name):
    state, model = load_state(DATA / name), load_model(DATA / name, last=True)
    assert (state.step, model.notes["step"], state.notes) == (30, 30, model.notes)
    assert state.vocabulary.characters == "".join(sorted(set(TEXT)))
    assert model.param.tobytes() == state.param.tobytes()
    with safetensors.safe_open(DATA / name / STATE_FILE, "numpy") as file:
        for row in table(state.architecture.sizes):
            for prefix, array in (("", state.param), ("m.", state.m), ("v.", state.v)):
                stored = file.get_tensor(prefix + row.name.replace("unembed", "head"))
                assert stored.tobytes() == array[row.low : row.high].tobytes()


@pytest.mark.parametrize(("name", "which", "backend"), WEIGHTS, ids=lambda value: "".join(value))
def test_runs_of_format_2_generate_and_evaluate_as_they_did(runs, name, which, backend):
    likeliest, sampled, loss = GOT[name, which]
    generate = ("generate", name, *which, "--prompt", "the ", "--backend", backend)
    assert lines(*generate, "--length", "40", "--temperature", "0")[0]["text"] == likeliest
    assert lines(*generate, "--length", "120", "--temperature", "0.9", "--seed", "3")[0]["text"] == sampled
    (score,) = lines("eval", name, "text.txt", *which, "--backend", backend)
    assert score["nats_per_character"] == pytest.approx(loss, rel=AT_ONCE[name], abs=0)


@pytest.mark.parametrize("backend", ["reference", "crystal"])
@pytest.mark.parametrize("name", ["learned", "rope"])
def test_runs_of_format_2_go_on_as_they_did(runs, name, backend):
    *reports, _ = lines("train", "--resume", name, "--steps", "60", "--backend", backend)
    assert [report["step"] for report in reports] == list(range(31, 61))
    assert [report["loss"] for report in reports] == pytest.approx(LOSSES[name], rel=LATER[name], abs=0)
    val_losses = {report["step"]: report["val_loss"] for report in reports if report["val_loss"] is not None}
    assert val_losses == pytest.approx(VAL_LOSSES[name], rel=LATER[name], abs=0)
    # what it writes is in today's format; and the best weights are no longer those of step 28
    with safetensors.safe_open(runs / name / STATE_FILE, "numpy") as file:
        assert "unembed_w" in file.keys()  # noqa: SIM118  (it is no dict)
        assert json.loads(file.metadata()["microgpt"])["format"] == FORMAT
    assert [load_state(runs / name).step, load_model(runs / name).notes["step"]] == [60, 60]


# --- formats 3 and 4 ----------------------------------------------------------------------------------

GOT_WITH_RELU = (
    "at at at at at at at at at at at at at a",
    "t afe ta aog e atha donat.g athman natheh\n"
    " tma, .nat d sa atat ate the n athe og the ogat!the, athe t!\n"
    " athe t atat atma",
    1.3473866278547,
)
# of the steps 31 to 40 of a run of 40
LOSSES_WITH_RELU = [
    1.563714446995218, 2.0197466140819764, 1.801591590086683, 1.8043691872693202, 1.5043910623362027,
    2.0786102819624723, 2.2609236092983584, 1.6783126413978715, 1.5902251404906291, 1.6363657468214694,
]  # fmt: skip


def description_of(path):
    with safetensors.safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["microgpt"])


@pytest.mark.parametrize("backend", ["reference", "crystal"])
def test_a_run_of_formats_3_and_4_stays_as_it_was(runs, backend):
    """New runs square relu, and shift in time."""
    assert (FORMAT, TrainConfig.activation, TrainConfig.token_shift) == (8, "relu2", True)
    old = [description_of(runs / "relu" / name) for name in (STATE_FILE, MODEL_FILE)]
    assert [each["format"] for each in old] == [3, 4]
    assert not any(name in each["model"] for each in old for name in LATER_NAMES)
    state, model = load_state(runs / "relu"), load_model(runs / "relu")
    for each in (state.config, state.architecture, model.architecture):
        assert [getattr(each, name) for name in LATER_NAMES] == ["relu", False, "sqrt"]
    likeliest, sampled, loss = GOT_WITH_RELU
    generate = ("generate", "relu", "--prompt", "the ", "--backend", backend)
    assert lines(*generate, "--length", "40", "--temperature", "0")[0]["text"] == likeliest
    assert lines(*generate, "--length", "120", "--temperature", "0.9", "--seed", "3")[0]["text"] == sampled
    (score,) = lines("eval", "relu", "text.txt", "--backend", backend)
    assert score["nats_per_character"] == pytest.approx(loss, rel=1e-12, abs=0)
    *reports, _ = lines("train", "--resume", "relu", "--steps", "40", "--backend", backend)
    assert [report["step"] for report in reports] == list(range(31, 41))
    assert [report["loss"] for report in reports] == pytest.approx(LOSSES_WITH_RELU, rel=1e-10, abs=0)
    new = [description_of(runs / "relu" / name) for name in (STATE_FILE, MODEL_FILE)]
    assert [each["format"] for each in new] == [FORMAT] * 2
    assert [[each["model"][name] for name in LATER_NAMES] for each in new] == [["relu", False, "sqrt"]] * 2
    assert same_model(load_model(runs / "relu"), load_state(runs / "relu"), load_state(runs / "relu").param)


@pytest.mark.parametrize(
    ("option", "messages"),
    [
        (("--activation", "relu2"), ("was 'relu' and is now 'relu2'",) * 2),
        (("--token-shift",), ("was off and is now on",) * 2),
        (("--attention-scale", "linear"), ("was 'sqrt' and is now 'linear'",) * 2),
    ],
)
def test_a_new_run_with_old_weights_computes_what_they_have_learned_with(runs, option, messages):
    arguments = ("train", "text.txt", "--from", "relu", "--steps", "1", "--backend", "reference")
    lines(*arguments, "--out", "new")
    architecture = load_model(runs / "new").architecture
    assert [getattr(architecture, name) for name in LATER_NAMES] == ["relu", False, "sqrt"]
    others = (*arguments, "--out", "other"), ("train", "--resume", "relu", "--steps", "40")
    for other, message in zip(others, messages, strict=True):
        refused = CliRunner().invoke(app, [*other, *option])
        assert refused.exit_code == 1
        assert f"{option[0]} {message}" in refused.stderr


# --- format 5 -------------------------------------------------------------------------------------------


def test_a_run_of_format_5_has_scores_that_follow_from_the_root_of_the_width(tmp_path):
    """It is like format 6, but that neither the model nor its training options name the scale."""

    def older(tensors, described):
        described["format"] = 5
        del described["model"]["attention_scale"]
        if "training" in described:
            del described["training"]["options"]["attention_scale"]

    state, arrays = save(tmp_path, activation="relu2", token_shift=True)
    for name in (STATE_FILE, MODEL_FILE):
        assert description_of(tmp_path / name)["format"] == FORMAT
        forge(tmp_path / name, older)
    assert state.architecture.attention_scale == "sqrt"
    assert same_state(load_state(tmp_path), state, arrays)
    assert same_model(load_model(tmp_path / MODEL_FILE), state, arrays[0])


# --- format 6 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "says_so"), [(3, False), (4, True)])
def test_a_run_of_format_6_goes_on_with_another_order_of_additions_and_says_so(
    tmp_path, monkeypatch, batch_size, says_so
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    tiny = ("--d-model", "4", "--heads", "1+3", "--n-layers", "1", "--seq-len", "4", "--schedule", "constant")
    backend = ("--backend", "reference")
    run = ("train", "text.txt", *tiny, *backend, "--batch-size", str(batch_size), "--out", "run")
    assert CliRunner().invoke(app, [*run, "--steps", "2"]).exit_code == 0

    def older(tensors, described):
        described["format"] = 6

    for steps, expected in (("3", False), ("4", says_so)):
        result = CliRunner().invoke(app, ["train", "--resume", "run", *backend, "--steps", steps])
        assert result.exit_code == 0
        message = "begun by an earlier version, which added the gradients of a batch in another order"
        assert (message in " ".join(result.stderr.split())) == expected
        forge(tmp_path / "run" / STATE_FILE, older)
