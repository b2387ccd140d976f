"""The GPU backend as a whole, simulated and on a GPU: steps, graphs, memory, the way to a CPU and back."""

import dataclasses
import gc
import json
from collections import Counter

import numpy as np
import pytest
from gpu import GPU_BACKENDS, REAL, Hosted, device, gpu_backend
from microgpt_kernels import BackendError, load, reference
from microgpt_kernels.contract import KERNELS, shape_of
from reporters import Silent, resume
from support import BY_NAME, INTEGERS, Case, judge, placed, relative_error
from typer.testing import CliRunner

from microgpt.checkpoint.saved import load_model, load_state
from microgpt.cli.app import app
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.machine.budget import Budget
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.text.ngrams import fit
from microgpt.text.reading import read_text
from microgpt.training import run
from microgpt.training.run import Run
from microgpt.training.train import train
from microgpt.training.trainer import Trainer
from microgpt.use.evaluate import Evaluator
from microgpt.use.generate import Generator, Sampling

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 3
IDS = np.frombuffer(TEXT.encode(), np.uint8) % 11
V = 11
OPTIONS = RECIPES["plain"] | {
    "seq_len": 6, "batch_size": 3, "d_model": 6, "n_layers": 1, "d_ff": 5, "heads": "1+2+3",
    "order": "shuffled", "lr": 0.001, "clip": 0.5, "weight_decay": 0.1, "warmup": 3,
}  # fmt: skip
# of a run's losses and parameters
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
N_STEPS = 3


@pytest.fixture(params=GPU_BACKENDS)
def k(request, monkeypatch):
    return gpu_backend(request.param, monkeypatch)


@pytest.fixture(params=GPU_BACKENDS[:1])
def simulated(request, monkeypatch):
    return gpu_backend(request.param, monkeypatch)


def record(work):
    """A graph of what is asked of the GPU, which is not done."""
    from microgpt_kernels.cublas.graph import Graph

    return Graph(device(), work)


def make(k, budget=None, **options):
    config = TrainConfig(file="x", **(OPTIONS | options))
    return Trainer(place(k, config.architecture(V), budget or Budget(None)), config, IDS)


def result(trainer, losses):
    """All that a run leaves."""
    return [losses.loss, losses.grad_norm, *(trainer.host(name) for name in ("param", "m", "v"))]


def same(one, other):
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


# --- training ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"n_layers": 2, "heads": "1+2+3|6"},
        {"positions": "rope", "heads": "3+1+2", "activation": "relu2", "token_shift": True},
        {"positions": "none", "heads": "ones", "batch_size": 1},
        {"n_layers": 2, "heads": "1+2+3|6", "attention_scale": "linear"},
    ],
    ids=["learned", "rope", "ones", "linear"],
)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_run_agrees_with_the_reference(k, dtype, options):
    """Graph and all: the first step is run as it is, the second captured, the others replayed."""
    runs = []
    for backend in (reference, k):
        trainer = make(backend, dtype=dtype, **options)
        runs.append(result(trainer, trainer.advance(N_STEPS)))
    for actual, expected in zip(runs[1], runs[0], strict=True):
        assert relative_error(actual, expected) <= TOLERANCE[dtype]


def test_the_graph_does_what_the_eager_steps_do(k):
    graph, eager = make(k), make(k)
    eager._steps = graph._steps.eager
    assert same(result(graph, graph.advance(N_STEPS)), result(eager, eager.advance(N_STEPS)))


def test_two_runs_agree_bit_for_bit(k):
    one, other = (make(k, batch_size=1, seq_len=34) for _ in range(2))
    assert same(result(one, one.advance(2)), result(other, other.advance(2)))


USUAL = RECIPES["plain"] | {
    "seq_len": 128,
    "batch_size": 8,
    "d_model": 64,
    "n_layers": 2,
    "d_ff": 256,
    "lr": 1e-3,
}


def usual(k, **options):
    """A run of a size that fills more than a corner of a GPU."""
    config = TrainConfig(file="x", **(USUAL | options))
    ids = np.random.default_rng(0).integers(0, 65, 20_000).astype(np.uint8)
    return Trainer(place(k, config.architecture(65), Budget(None)), config, ids)


@pytest.mark.gpu
@pytest.mark.parametrize("heads", HEAD_LAYOUTS)
def test_a_gpu_learns_what_the_cpu_learns(monkeypatch, heads):
    losses = [usual(gpu_backend(REAL, monkeypatch), heads=heads).advance(30).loss]
    losses += [usual(load(name), heads=heads).advance(30).loss for name in ("crystal", "openblas")]
    for other in losses[1:]:
        assert relative_error(losses[0], other) <= TOLERANCE["float32"]


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["cublas", "cublas-tf32"])
def test_a_larger_run_repeats_itself_bit_for_bit_with_graph_and_without(monkeypatch, backend):
    gpu_backend(REAL, monkeypatch)
    graph, again, eager = (usual(load(backend), heads="prime") for _ in range(3))
    expected = result(graph, graph.advance(200))
    assert same(expected, result(again, again.advance(200)))
    eager._steps = graph._steps.eager
    assert same(expected, result(eager, eager.advance(200)))


def test_the_order_of_threads_changes_nothing(simulated):
    """Between two barriers no thread may read what another writes: else another order would show it."""
    runs = []
    for order in (1, -1):
        device().core.order = order
        # more than one panel of attention, and than one block of a kernel
        trainer = make(simulated, batch_size=1, seq_len=36)
        runs.append(result(trainer, trainer.advance(2)))
    assert same(*runs)


def test_compiling_takes_no_step(k):
    trainer = make(k)
    before = [trainer.host(name) for name in ("param", "m", "v")]
    trainer.compile()
    assert trainer.step == 0
    assert same(before, [trainer.host(name) for name in ("param", "m", "v")])


def test_after_compiling_nothing_is_left_to_compile(simulated, monkeypatch):
    """Or a step would wait for it, and be measured with it."""
    trainer = make(simulated)
    trainer.compile()
    assert device().core.launches == []
    monkeypatch.setattr(device().core.ObjectCode, "from_cubin", lambda binary: pytest.fail(str(binary)))
    trainer.advance(2)


def test_steps_are_replayed_without_a_word_from_the_host(simulated, monkeypatch):
    trainer = make(simulated, order="sequential", batch_size=1)
    trainer.advance(2)
    monkeypatch.setattr(device(), "launch", lambda *arguments: pytest.fail("a launch outside of the graph"))
    before = device().n_reads
    trainer.advance(3)
    assert device().n_reads == before
    assert trainer.step == 5


def test_another_state_is_captured_anew(k):
    """bench and evaluation use one compiled step for several runs."""
    alone, expected = make(k), None
    expected = result(alone, alone.advance(N_STEPS))
    one, other = make(k), make(k, heads="6")
    one._steps = other._steps
    one.advance(N_STEPS - 1)
    other.advance(1)
    assert same(expected[2:], result(one, one.advance(1))[2:])


def test_a_loss_that_is_not_finite_stops_the_run(k):
    """In the middle of a graph's replays, and the last finite state is kept."""
    trainer = make(k, order="sequential", batch_size=1)
    trainer.advance(2)
    moments = trainer.host("m")
    spoiled = trainer.host("param")
    spoiled[-1] = np.inf
    k.from_host(trainer.placed.param, spoiled)
    with pytest.raises(
        NotFiniteError, match="at step 3: the parameter 'unembed_b' is the first array with a NaN"
    ):
        trainer.advance(3)
    assert trainer.step == 2
    assert np.array_equal(trainer.host("m"), moments)
    assert np.array_equal(trainer.host("param"), spoiled)


# --- evaluation and generation ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ngrams", "options"),
    [(None, {}), (None, {"attention_scale": "linear"}), (fit(IDS, V, 3), {})],
    ids=["network", "linear", "with n-grams"],
)
def test_evaluation_and_generation_agree_with_the_reference(k, ngrams, options):
    architecture = make(reference, dtype="float64", **options).placed.architecture
    param = np.random.default_rng(3).normal(size=make(reference).placed.param.shape)
    results = []
    for backend in (reference, k):
        model = dataclasses.replace(placed(backend, architecture, Budget(None), param), ngrams=ngrams)
        score = Evaluator(model, IDS).score()
        generator = Generator(model)
        # past the end of the window, with and without limits
        texts = [
            np.concatenate(list(generator.stream(IDS[:3], 9, sampling, chunk=4)))
            for sampling in (Sampling(temperature=0.0), Sampling(top_k=4, top_p=0.9, seed=5))
        ]
        results.append((score, texts))
    assert relative_error([results[1][0].nats], [results[0][0].nats]) <= 1e-9
    assert results[1][0].characters == results[0][0].characters
    assert same(results[1][1], results[0][1])


# --- checkpoints --------------------------------------------------------------------------------------


def trained(tmp_path, out, backend, steps, *, resumed=False, **options):
    """A run directory."""
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    config = TrainConfig(
        **(
            OPTIONS
            | {"file": str(file), "backend": backend, "steps": steps, "out": str(tmp_path / out)}
            | options
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "SAMPLE_LENGTH", 3)
        if resumed:
            resume(config, Silent(), tmp_path / out)
        else:
            train(config, Silent())
    return tmp_path / out


@pytest.mark.parametrize("order", [("cublas", "reference"), ("reference", "cublas")], ids="-".join)
def test_a_run_goes_on_on_another_backend(k, tmp_path, order):
    """Half of it on a GPU, half on a CPU, beside all of it on the CPU."""
    trained(tmp_path, "half", order[0], 2, dtype="float64")
    trained(tmp_path, "half", order[1], 4, resumed=True, dtype="float64")
    whole = load_state(trained(tmp_path, "whole", "reference", 4, dtype="float64"))
    resumed = load_state(tmp_path / "half")
    assert resumed.step == whole.step == 4
    for name in ("m", "v"):
        assert relative_error(getattr(resumed, name), getattr(whole, name)) <= 1e-9
    assert relative_error(resumed.param, whole.param) <= 1e-9


def test_what_is_saved_is_what_the_device_holds(k, tmp_path):
    """Arrays once lived on host and device, and `save` wrote the host's, as old as the run."""
    out = trained(tmp_path, "run", "cublas", 2)
    config = TrainConfig(**(OPTIONS | {"file": str(tmp_path / "text.txt"), "backend": "cublas", "steps": 2}))
    text = read_text(tmp_path / "text.txt")
    model = place(k, config.architecture(len(text.vocabulary)), Budget(None))
    again = Run(model, config, text, Silent()).trainer
    at_start = again.host("param")
    again.advance(2)
    saved = load_state(out)
    assert np.array_equal(load_model(out).param, again.host("param"))
    assert same((saved.m, saved.v), (again.host("m"), again.host("v")))
    assert not np.array_equal(at_start, again.host("param"))


# --- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [Case(B=70_000, T=1, widths=(1,), V=2, F=1, M=1), Case(B=1, T=1, widths=(1,) * 70_000, V=1, F=1, M=1)],
    ids=["sequences", "heads"],
)
def test_sequences_and_heads_are_as_many_as_you_like(simulated, case):
    """The second and third dimension of a launch end at 65,535, which the simulator knows."""

    def value(argument):
        if argument.mode == "scalar":
            return case.scalar(argument.name)
        kind = INTEGERS.get(argument.kind) or ("float64" if argument.kind == "float64" else "float32")
        return simulated.zeros(shape_of(argument.shape, case.sizes), kind)

    for kernel in KERNELS:
        values = [value(argument) for argument in kernel.arguments]
        before = device().n_asked
        record(lambda: getattr(simulated, kernel.name)(*values))  # noqa: B023
        assert device().n_asked > before, kernel.name


def test_more_blocks_than_a_gpu_takes_are_one_sentence(simulated):
    from microgpt_kernels.cublas.relu import _relu_forward_kernel

    array = simulated.zeros((1,), np.float32)
    for rehearsing in (True, False):  # so that it is said before the first step
        device().rehearsing = rehearsing
        with pytest.raises(BackendError, match=r"2,147,483,648 blocks of the kernel _relu_fo"):
            _relu_forward_kernel.launch(1 << 31, 128, array, array)
    _relu_forward_kernel.launch(1, 128, array, array)


# --- the embedding's gradient ---------------------------------------------------------------------------


@pytest.fixture
def small_parts(simulated, monkeypatch):
    """Parts of 16 rows, so that a few rows are several parts."""
    import simulator
    from microgpt_kernels.cublas import embedding

    monkeypatch.setattr(embedding, "SORTED_ROWS", 16)
    simulator.compiled.cache_clear()  # it knows what the constants were
    yield embedding
    simulator.compiled.cache_clear()


def embedding_gradient(k, dout, ids, V):
    dtable = k.to_device(np.full((V, dout.shape[1]), np.nan, dout.dtype))
    k.embedding_backward(dtable, k.to_device(dout), k.to_device(ids))
    return k.to_host(dtable)


def test_the_embeddings_gradient_is_added_in_one_order(simulated, small_parts):
    """To the bit, whatever the order of blocks and threads: 8 sums of every eighth row, then these."""
    N, V, C = 43, 5, 34
    rng = np.random.default_rng(0)
    dout, ids = rng.normal(size=(N, C)).astype(np.float32), rng.integers(0, V - 1, N).astype(np.int32)
    expected = np.zeros((V, C), np.float32)
    for v in range(V):
        sums = np.zeros((8, C), np.float32)
        for part in range(0, N, 16):
            rows = part + np.flatnonzero(ids[part : part + 16] == v)
            for i, row in enumerate(rows):
                sums[i % 8] += dout[row]
        for each in sums:
            expected[v] += each
    for order in (1, -1):
        device().core.order = order
        assert np.array_equal(embedding_gradient(simulated, dout, ids, V), expected)


def test_the_embeddings_gradient_of_more_rows_than_there_is_room_to_sort(simulated, small_parts, monkeypatch):
    N, V, C = 75, 3, 4
    monkeypatch.setattr(small_parts, "PARTIAL_BYTES", 2 * 4 * (16 + V + 1))  # two parts
    dout, ids = np.random.default_rng(0).normal(size=(N, C)), np.arange(N, dtype=np.int32) % 2
    expected = np.zeros((V, C))
    reference.embedding_backward(expected, dout, ids)
    before = len(device().core.launches)
    assert relative_error(embedding_gradient(simulated, dout, ids, V), expected) <= 1e-12
    assert len(device().core.launches) - before == 3 * 2


def test_the_embeddings_gradient_reads_each_row_once(simulated, monkeypatch):
    """And no character searches all ids for itself, in every column."""
    import simulator

    N, V, C = 24, 60, 33
    reads, read = Counter(), simulator.View.__getitem__

    def counted(view, index):
        reads[view.shape] += 1
        return read(view, index)

    monkeypatch.setattr(simulator.View, "__getitem__", counted)
    dout, ids = np.ones((N, C), np.float32), (np.arange(N) % V).astype(np.int32)
    embedding_gradient(simulated, dout, ids, V)
    assert reads[N, C] == N * C
    # ids, by the 32 lanes that place one, and compared with each other and all characters; then the order
    assert reads[(N,)] == 32 * N + N * (N + V + 1) + N * C


@pytest.mark.parametrize("kernel", ["layernorm_backward", "linear_backward"])
def test_sums_in_parts_are_right(simulated, kernel):
    """1,100 rows are three parts, in which the last turn of a loop is not full; 33 columns are two blocks."""
    case = Case(B=11, T=100, widths=(33,), V=1, F=1, M=33)
    judge(BY_NAME[kernel], Hosted(simulated), case, "float64")
    assert device().core.launches.count("_sum_rows_kernel") == 2


def test_many_rows_take_a_second_kernel_for_each_sum(simulated):
    """As docs/gpu.md says: for each bias of a linear map, and for weight and bias of each layer norm."""
    asked = []
    for batch_size in (512, 513):
        trainer = usual(simulated, seq_len=1, batch_size=batch_size)
        before = device().n_asked
        record(lambda: trainer._steps.eager(1, trainer.state))  # noqa: B023
        asked.append(device().n_asked - before)
    assert asked == [21 + 36 * 2, 21 + 36 * 2 + 3 + 8 * 2]


# --- memory -------------------------------------------------------------------------------------------


def test_the_budget_counts_what_lies_on_the_device(simulated):
    """All but the counters and the head offsets, which are a few bytes each."""
    held = device().core.memory.held()
    budget = Budget(None)
    trainer = make(simulated, budget)
    on_device = device().core.memory.held() - held
    assert 0 <= on_device - (budget.held - simulated.overhead()) < 40_000
    assert held == simulated.overhead()
    assert trainer.step == 0


def test_arrays_that_nobody_holds_are_given_back(simulated):
    make(simulated).advance(1)
    after_one = device().core.memory.held()
    for _ in range(2):
        make(simulated).advance(1)
    assert device().core.memory.held() == after_one


def test_the_collector_frees_nothing_while_a_graph_is_captured(simulated, monkeypatch):
    """It runs at any time, and to free an array would become a part of the graph."""
    trainer, held = make(simulated), device().core.memory.held()
    launch, hoard = device().launch, []
    for _ in range(30):
        ring = [simulated.zeros((9,), np.float32)]
        ring.append(ring)
        hoard.append(ring)
    del ring

    def littering(*arguments):
        del hoard[:3]
        launch(*arguments)

    monkeypatch.setattr(device(), "launch", littering)
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        record(lambda: trainer._steps.eager(1, trainer.state))
    finally:
        gc.set_threshold(*before)
    assert hoard == []
    assert not device().core.memory.freed_in_capture
    gc.collect()
    assert device().core.memory.held() == held


def test_nothing_is_allocated_once_a_run_has_begun(simulated):
    trainer = make(simulated)
    trainer.advance(1)
    held = device().core.memory.held()
    trainer.advance(2)
    assert device().core.memory.held() == held


def test_a_gpu_that_is_full_says_so(simulated, tmp_path, monkeypatch):
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    device().core.memory.total = device().core.memory.held() + 5000
    answer = CliRunner().invoke(
        app, ["train", str(file), "--backend", "cublas", "--seq-len", "8", "--out", str(tmp_path / "out")]
    )
    assert answer.exit_code == 1
    assert "out of GPU memory: " in answer.stderr
    assert "use a smaller model, --batch-size or --seq-len" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_fails_says_so(simulated, monkeypatch):
    """An error of a kernel is reported by whatever waits for it."""
    trainer = make(simulated)

    def fail():
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(device().stream, "sync", fail)
    with pytest.raises(
        BackendError, match="the GPU has failed, and what it held is lost: CUDA_ERROR_ILLEGAL"
    ):
        trainer.advance(1)


def test_the_cap_holds_for_the_workspaces_too(simulated):
    with pytest.raises(
        MicrogptError, match=r"48.0 MiB for the backend's own use do not fit, .* another --backend"
    ):
        make(simulated, Budget(40 << 20))


# --- other commands -------------------------------------------------------------------------------------


def test_generate_eval_and_bench_run_on_the_gpu(k, tmp_path):
    out = str(trained(tmp_path, "run", "cublas", 1))

    def output(*arguments):
        answer = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
        assert answer.exit_code == 0, answer.stderr
        return json.loads(answer.stdout)

    ours, theirs = (output("generate", out, "--length", "4", "--backend", b) for b in ("cublas", "reference"))
    assert ours["text"] == theirs["text"]
    text = str(tmp_path / "text.txt")
    ours, theirs = (output("eval", out, text, "--backend", b) for b in ("cublas", "reference"))
    assert ours["nats_per_character"] == pytest.approx(theirs["nats_per_character"], rel=1e-5)
    tiny = ["--heads", "1+2", "--d-model", "3", "--n-layers", "1", "--seq-len", "4", "--backend", "cublas"]
    row = output("bench", "2", "--file", text, *tiny)
    assert (row["backend"], row["threads"], row["steps"]) == ("cublas", 1, 2)
    answer = CliRunner().invoke(app, ["bench", "2", "--file", text, *tiny, "--roofline"])
    assert answer.exit_code == 2
    assert "--roofline measures what runs on the CPU, and cublas does not" in answer.stderr


# --- arrays ---------------------------------------------------------------------------------------------


def test_an_array_is_cut_as_numpys_are(k):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    array = k.to_device(values)
    for index in (1, -1, (0, slice(1, 3)), slice(1, 2), (1, 2), (1, slice(2, 2)), slice(-1, None)):
        assert np.array_equal(k.to_host(array[index]), values[index]), index
        assert array[index].shape == values[index].shape
    assert array[1, 2, 3] == 23
    assert np.array_equal(k.to_host(array.reshape(4, 6)), values.reshape(4, 6))
    assert (array.ndim, array.size, array.nbytes, array.strides) == (3, 24, 96, (48, 16, 4))


@pytest.mark.parametrize("index", [(slice(0, 1), 1), slice(0, 2, 2), 2, -3, (0, 0, 4)])
def test_what_would_leave_gaps_or_the_array_is_refused(k, index):
    with pytest.raises(IndexError):
        k.zeros((2, 3, 4), np.float32)[index]


def test_a_new_array_is_zero_and_values_are_converted(k):
    array = k.zeros((3,), np.float32)
    assert np.array_equal(k.to_host(array), np.zeros(3))
    k.from_host(array, np.array([1, 2, 3]))
    assert k.to_host(array).tolist() == [1, 2, 3]
    assert k.to_host(k.zeros((0, 4), np.int64)).shape == (0, 4)


def test_a_kernel_takes_no_number_of_python(simulated):
    from microgpt_kernels.cublas import jit

    with pytest.raises(TypeError, match="not float"):
        jit.signature((1.0,))


# --- TF32 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("backend", "mode"), [("cublas", 0), ("cublas-tf32", 3)])
def test_tf32_is_there_for_who_asks(simulated, backend, mode):
    k = load(backend)
    make(k).advance(1)
    assert device().blas.math_modes == {mode}
    assert ("TF32" in k.describe()) == (mode == 3)


@pytest.mark.gpu
def test_tf32_learns_what_float32_learns(monkeypatch):
    gpu_backend(REAL, monkeypatch)
    runs = [make(load(name), dtype="float32") for name in ("cublas", "cublas-tf32")]
    losses = [trainer.advance(50).loss for trainer in runs]
    assert relative_error(losses[1], losses[0]) <= 0.02


# --- the benchmark ------------------------------------------------------------------------------------------


def test_the_benchmark_of_steps_counts_them(simulated, monkeypatch):
    """With a simulated GPU its times mean nothing, but everything that it does is done."""
    import gpu_steps

    monkeypatch.setattr(gpu_steps, "SECONDS", 0)
    row = gpu_steps.measure("tiny", "cublas", OPTIONS, rounds=1, beside_cpu=False)
    # as docs/gpu.md says; of them products: three for each of four linear maps a layer, and for the last
    assert row.launches == 21 + 36 * OPTIONS["n_layers"]
    before, trainer = len(device().core.launches), make(simulated)
    trainer._steps.eager(1, trainer.state)
    n_products = 3 * (4 * OPTIONS["n_layers"] + 1)
    assert row.launches == len(device().core.launches) - before + n_products
    assert row.step_us > 0 < row.floor_us
    assert row.gflops > 0 < row.peak_gflops
    assert gpu_steps.line(row).startswith("tiny      cublas ")
