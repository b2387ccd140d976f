import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt.bounds import MAX_D_MODEL
from microgpt.errors import MicrogptError
from microgpt.model.heads import HEAD_LAYOUTS, format_layout, parse_layout

AT_64 = {
    "uniform": (16, 16, 16, 16),
    "exponential": (1, 1, 2, 4, 8, 16, 32),
    "prime": (2, 3, 5, 7, 11, 13, 23),
    "pyramid": (16, 8, 8, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2),
    "ones": (1,) * 64,
}


def error_of(text, d_model=64, n_layers=2):
    with pytest.raises(MicrogptError) as caught:
        parse_layout(text, d_model, n_layers)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.mark.parametrize("name", HEAD_LAYOUTS)
def test_presets_at_the_default_width(name):
    assert HEAD_LAYOUTS[name](64) == AT_64[name]
    assert parse_layout(name, 64, 3) == (AT_64[name],) * 3


@pytest.mark.parametrize("name", HEAD_LAYOUTS)
def test_a_preset_fits_or_names_the_nearest_d_model_that_works(name):
    layout = HEAD_LAYOUTS[name]

    def works(d_model):
        try:
            layout(d_model)
        except MicrogptError:
            return False
        return True

    for d_model in range(-1, 300):
        if works(d_model):
            widths = layout(d_model)
            assert sum(widths) == d_model
            assert min(widths) >= 1
        else:
            with pytest.raises(MicrogptError) as caught:
                layout(d_model)
            below = next((d for d in range(d_model - 1, 0, -1) if works(d)), None)
            above = next(d for d in range(max(d_model + 1, 1), 1000) if works(d))
            nearest = f"{above}" if below is None else f"{below} and {above}"
            assert str(caught.value).endswith(f" {nearest}")
            assert f"which {d_model} is not" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "d_model", "widths"),
    [
        ("uniform", 16, (16,)),
        ("exponential", 1, (1,)),
        ("exponential", 2, (1, 1)),
        ("exponential", 3, (1, 1, 1)),
        ("exponential", 100, (1, 1, 2, 4, 8, 16, 32, 36)),
        ("prime", 2, (2,)),
        ("prime", 5, (2, 3)),
        ("prime", 7, (2, 5)),
        ("prime", 10, (2, 3, 5)),
        ("pyramid", 32, (8, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1)),
        ("ones", 1, (1,)),
    ],
)
def test_presets_at_other_widths(name, d_model, widths):
    assert HEAD_LAYOUTS[name](d_model) == widths


@pytest.mark.parametrize("d_model", [1, 4, 6, 128])
def test_widths_that_no_primes_sum_to(d_model):
    with pytest.raises(MicrogptError, match="the nearest that work"):
        HEAD_LAYOUTS["prime"](d_model)


@pytest.mark.parametrize(
    ("text", "widths"),
    [
        ("16+8+8+32", (16, 8, 8, 32)),
        ("4x16", (16, 16, 16, 16)),
        ("2x8+48", (8, 8, 48)),
        (" 2 x 8 + 48 ", (8, 8, 48)),
        ("64", (64,)),
    ],
)
def test_explicit_widths(text, widths):
    assert parse_layout(text, 64, 2) == (widths, widths)


def test_each_layer_may_have_its_own_part():
    assert parse_layout("ones | 2x8+48|pyramid", 64, 3) == (AT_64["ones"], (8, 8, 48), AT_64["pyramid"])


def test_as_many_parts_as_layers():
    assert "describes 2 layers, but the model has 3" in error_of("ones|4x16", n_layers=3)
    assert "describes 3 layers, but the model has 1" in error_of("ones|ones|ones", n_layers=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("16+8+8", "the widths 16+8+8 sum to 32, but d_model is 64"),
        ("ones|16+8+8", "layer 2: the widths 16+8+8 sum to 32, but d_model is 64"),
        ("ones|", "layer 2: the head layout is empty"),
        ("", "the head layout is empty"),
        ("  ", "the head layout is empty"),
        ("unifrm", "there is no head layout 'unifrm' (did you mean 'uniform'?)"),
        ("Ones", "(did you mean 'ones'?)"),
        ("x16", "there is no head layout 'x16'; use uniform, exponential, prime, pyramid, ones, or"),
        ("0+64", "'0' gives no width"),
        ("0x16+64", "'0x16' gives no width"),
        ("16x0+64", "'16x0' gives no width"),
        ("-8+72", "'-8' is not a width"),
        ("32++32", "a width is missing beside a '+'"),
        ("64+", "a width is missing beside a '+'"),
        ("1.5+62.5", "'1.5' is not a width"),
        ("4x4x4", "'4x4x4' is not a width"),
        ("٦٤", "'٦٤' is not a width"),
        ("999999999x1", "sum to 999999999, but d_model is 64"),
        ("999999999x999999999", "sum to 999999998000000001, but d_model is 64"),
        ("9" * 10_000, "is not a width"),
        ("1+" * 10_000 + "1", "sum to 10001, but d_model is 64"),
        ("z" * 10_000, "there is no head layout 'zzz"),
    ],
)
def test_errors_say_what_is_wrong(text, message):
    assert message in error_of(text)


def test_a_preset_that_cannot_serve_names_layer_and_nearest():
    message = error_of("ones|pyramid", d_model=40)
    assert message.startswith("layer 2: the pyramid head layout needs a d_model that is a multiple of 32")
    assert message.endswith("the nearest that work are 32 and 64")


@pytest.mark.parametrize("d_model", [-1, 0, MAX_D_MODEL + 1, 10**12])
def test_a_senseless_d_model_is_refused_before_any_heads_exist(d_model):
    assert f"d_model must be between 1 and {MAX_D_MODEL}, not {d_model}" in error_of("ones", d_model=d_model)
    assert "at least 1 layer" in error_of("ones", n_layers=0)


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([(16, 16, 16, 16)], "4x16"),
        ([AT_64["exponential"]] * 2, "1+1+2+4+8+16+32"),
        ([AT_64["pyramid"]], "16+8+8+4x4+8x2"),
        ([(1, 1, 1), (3,)], "3x1 | 3"),
    ],
)
def test_canonical_text(layers, text):
    assert format_layout(layers) == text


@st.composite
def layers_of_one_width(draw):
    d_model = draw(st.integers(1, 60))
    borders = st.sets(st.integers(1, d_model - 1)) if d_model > 1 else st.just(set())
    layers = []
    for _ in range(draw(st.integers(1, 4))):
        edges = [0, *sorted(draw(borders)), d_model]
        layers.append(tuple(right - left for left, right in itertools.pairwise(edges)))
    return d_model, tuple(layers)


@settings(deadline=None)
@given(layers_of_one_width())
def test_text_and_widths_are_the_same_thing(drawn):
    d_model, layers = drawn
    text = format_layout(layers)
    assert parse_layout(text, d_model, len(layers)) == layers
    assert format_layout(parse_layout(text, d_model, len(layers))) == text


@settings(deadline=None)
@given(st.text(alphabet="0123456789x+| onesprim-.", max_size=30))
def test_any_text_gives_widths_that_fit_or_an_error(text):
    try:
        layers = parse_layout(text, 8, 2)
    except MicrogptError:
        return
    assert [sum(widths) for widths in layers] == [8, 8]
    assert all(width >= 1 for widths in layers for width in widths)
