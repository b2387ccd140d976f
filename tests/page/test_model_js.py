"""The forward pass in JavaScript beside that of the backends, in a browser."""

import numpy as np
import pytest
from browser import NEEDS_A_BROWSER
from microgpt_kernels import reference
from saved_examples import arrays_of, model_of

from microgpt.api.log import Log
from microgpt.api.model import Model
from microgpt.model.parameters import table, views
from microgpt.page.page import asset, document
from microgpt.page.weights import model_data

pytestmark = NEEDS_A_BROWSER
# of the vocabulary of saved_examples; longer than two windows
TEXT = 'ab\U0001f600 !à€"\nbba a!\U0001f600ba"'
KINDS = {
    "learned": {},
    "rope": {"positions": "rope"},
    "none, float64": {"positions": "none", "dtype": "float64"},
    "squared": {"activation": "relu2"},
    "shifted": {"positions": "rope", "token_shift": True},
    "shifted, an odd width": {"token_shift": True, "d_model": 7, "heads": "3+1+3 | 5+2"},
    "scaled linearly": {"attention_scale": "linear", "d_model": 12, "heads": "1+11 | 12x1"},
    "a wide head": {"positions": "rope", "d_model": 24, "heads": "18+6", "seq_len": 9},
    "a window of one": {"seq_len": 1},
    "a window of five": {"seq_len": 5, "token_shift": True, "positions": "rope"},
}
LIVE = "<main>the model</main>"


def made(**options):
    """A model with random weights: on the reference backend, and those weights."""
    saved = model_of(**options)
    param, *_ = arrays_of(saved)
    return Model(saved, "reference", Log(), param=param), param


def live(browse, model, param):
    """A page with the model in it, as `model`."""
    data = model_data(model.architecture, model.vocabulary, param)
    scripts = [asset("model.js"), "const model = Microgpt.load(Data.read('model'));"]
    return browse(document("a model", LIVE, scripts=scripts, data={"model": data}))


LOGITS = """([text, options]) => {
    const pass = model.begin(options);
    return Array.from(model.encode(text).ids, (id) => Array.from(pass.push(id)));
}"""


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_backend_and_greedy_text_too(browse, kind):
    model, param = made(**KINDS[kind])
    tab = live(browse, model, param)
    found = np.array(tab.evaluate(LOGITS, [TEXT, {"keep": 0}]))
    expected = model.logits(TEXT)
    assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max() / 20)
    # a prompt longer than the window, and then several windows
    drawn = tab.evaluate(
        """(prompt) => {
            const pass = model.begin(), ids = [];
            let logits;
            for (const id of model.encode(prompt).ids.slice(-model.T)) logits = pass.push(id);
            for (let i = 0; i < 40; i++) ids.push(Microgpt.likeliest(logits)), logits = pass.push(ids[i]);
            return model.decode(ids);
        }""",
        TEXT,
    )
    assert drawn == model.generate(TEXT, 40, temperature=0)


def test_losses_are_those_of_the_backend(browse):
    model, param = made(**KINDS["shifted"])
    found = live(browse, model, param).evaluate(
        "(text) => Array.from(model.losses(model.encode(text).ids, {keep: 0}))", TEXT
    )
    assert np.allclose(found, model.losses(TEXT), atol=1e-4)


def test_a_head_that_is_off_adds_nothing(browse):
    model, param = made(**KINDS["rope"])
    tab = live(browse, model, param)
    off = [[False, True, False], [False]]
    found = np.array(tab.evaluate(LOGITS, [TEXT, {"keep": 0, "off": off}]))
    views(param, table(model.architecture.sizes)).proj_w[0, 1:3] = 0  # the head's rows
    without = Model(model_of(**KINDS["rope"]), "reference", Log(), param=param)
    assert np.allclose(found, without.logits(TEXT), atol=1e-4)
    assert not np.allclose(found, model.logits(TEXT), atol=1e-2)


@pytest.mark.parametrize("kind", ["learned", "shifted", "a wide head"])
def test_the_parts_sum_to_the_logit_less_the_mean(browse, kind):
    model, param = made(**KINDS[kind])
    names, found, expected = live(browse, model, param).evaluate(
        """(text) => {
            const pass = model.begin(), found = [], expected = [];
            for (const id of model.encode(text).ids) {
                const logits = pass.push(id), mean = logits.reduce((sum, value) => sum + value, 0) / model.V;
                found.push(pass.parts(3).reduce((sum, value) => sum + value, 0));
                expected.push(logits[3] - mean);
            }
            return [model.parts, found, expected];
        }""",
        TEXT,
    )
    assert np.allclose(found, expected, atol=1e-9)
    assert names[:3] == ["embedding", "positions", "1.1"]
    assert names[-2:] == ["mlp 2", "bias"]
    assert len(names) == 2 + sum(map(len, model.architecture.heads)) + 2 + 1


def test_attention_of_the_last_character_is_a_distribution_over_the_window(browse):
    model, param = made(**KINDS["shifted"])
    found = live(browse, model, param).evaluate(
        """(text) => {
            const pass = model.begin();
            return Array.from(model.encode(text).ids, (id) => {
                pass.push(id);
                const heads = [pass.attention(0, 2), pass.attention(1, 0)];
                return [pass.n, pass.start, ...heads.map((weights) => Array.from(weights))];
            });
        }""",
        TEXT,
    )
    T = model.architecture.seq_len
    for n, (pushed, start, *heads) in enumerate(found, 1):
        assert pushed == n
        assert T // 2 < n - start <= T or n <= T // 2
        for head in heads:
            assert len(head) == n - start
            assert sum(head) == pytest.approx(1)


def test_going_back_is_as_if_nothing_had_come_after(browse):
    model, param = made(**KINDS["a window of five"])
    differences = live(browse, model, param).evaluate(
        """(text) => {
            const ids = model.encode(text).ids, pass = model.begin(), fresh = model.begin(), differences = [];
            for (const id of ids) pass.push(id);
            for (let n = ids.length; n > 0; n--) {
                const back = pass.rewind(n), again = model.begin();
                let logits;
                for (const id of ids.subarray(0, n)) logits = again.push(id);
                differences.push(Math.max(...logits.map((value, i) => Math.abs(value - back[i]))));
                differences.push(Math.abs(again.start - pass.start));
            }
            return differences.concat(pass.rewind(0) === null ? [] : [1]);
        }""",
        TEXT,
    )
    assert max(differences) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": 1.3},
        {"temperature": 0.8, "topK": 3},
        {"temperature": 1.0, "topP": 0.7},
        {"temperature": 0.5, "topK": 6, "topP": 0.9},
    ],
    ids=str,
)
def test_equal_random_numbers_draw_what_the_kernel_draws(browse, settings):
    model, param = made()
    random = np.random.default_rng(1)
    rows = random.integers(-2, 3, (60, 10)).astype(float)  # with many equal logits
    numbers = random.random(len(rows))
    drawn = live(browse, model, param).evaluate(
        """([settings, rows, numbers]) => rows.map((row, i) => {
            const sampler = model.sampler(settings);
            sampler.next = () => numbers[i];
            return sampler.draw(Float64Array.from(row));
        })""",
        [settings, rows.tolist(), numbers.tolist()],
    )
    output = np.zeros(len(rows), np.int32)
    for i, row in enumerate(rows):
        reference.sample(
            np.zeros(8, np.int32), output[i : i + 1], np.zeros(3, np.int64), None, row[None],
            numbers[i : i + 1], settings["temperature"], settings.get("topK", 0), settings.get("topP", 1.0),
        )  # fmt: skip
    assert drawn == output.tolist()


def test_a_seed_repeats_its_text_and_its_numbers_are_even(browse):
    model, param = made()
    first, again, other, mean, spread = live(browse, model, param).evaluate(
        """() => {
            const numbers = (seed) => {
                const { next } = model.sampler({ seed });
                return Array.from({ length: 20000 }, next);
            };
            const first = numbers(7), mean = first.reduce((sum, x) => sum + x, 0) / first.length;
            const spread = first.reduce((sum, x) => sum + (x - mean) ** 2, 0) / first.length;
            return [first.slice(0, 5), numbers(7).slice(0, 5), numbers(8).slice(0, 5), mean, spread];
        }"""
    )
    assert first == again
    assert first != other
    assert mean == pytest.approx(1 / 2, abs=0.01)
    assert spread == pytest.approx(1 / 12, abs=0.005)


def test_unknown_characters_are_named_and_left_out(browse):
    model, param = made()
    found = live(browse, model, param).evaluate(
        "(text) => { const {ids, unknown} = model.encode(text); return [model.decode(ids), unknown]; }",
        "a?b\U0001f600z?\U0001f601",
    )
    assert found == ["ab\U0001f600", ["?", "z", "\U0001f601"]]


def test_the_default_model_writes_5000_characters_a_second(browse):
    model, param = made(
        d_model=64,
        d_ff=64,
        seq_len=128,
        heads="uniform",
        positions="rope",
        token_shift=True,
        activation="relu2",
    )
    speed = live(browse, model, param).evaluate(
        """() => {
            const sampler = model.sampler({ temperature: 0.8, topK: 5 }), pass = model.begin();
            let logits = pass.push(model.opening), best = 0;
            for (let i = 0; i < 6; i++) {
                const began = performance.now();
                for (let n = 0; n < 1000; n++) logits = pass.push(sampler.draw(logits));
                best = Math.max(best, 1000 / (performance.now() - began) * 1000);
            }
            return best;
        }"""
    )
    assert speed > 5000
