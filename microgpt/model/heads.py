"""Head layouts: how a layer of width d_model is cut into attention heads, which may all differ in width.

A layout is a tuple of widths that sum to d_model. To add a preset, write one function of d_model that returns
the widths, or raises with the nearest d_model that works, and give it a line in `HEAD_LAYOUTS`.
"""

import difflib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from microgpt.bounds import MAX_D_MODEL, MAX_LAYERS
from microgpt.errors import SHOWN, MicrogptError, shown

Widths = tuple[int, ...]

MAX_HEADS = 1 << 20  # in one layout, equal layers counted once


def uniform(d_model: int) -> Widths:
    """d_model/16 heads of width 16; d_model is a multiple of 16."""
    if d_model < 1 or d_model % 16 != 0:
        raise _unsuitable("uniform", "a multiple of 16", d_model, lambda d: d % 16 == 0)
    return (16,) * (d_model // 16)


def exponential(d_model: int) -> Widths:
    """1 1 2 4 8 ..., doubling while the sum fits; one more head makes up what is missing to d_model."""
    if d_model < 1:
        raise _unsuitable("exponential", "at least 1", d_model, lambda d: True)
    widths = [1]
    while 2 * sum(widths) <= d_model:
        widths.append(sum(widths))  # 1, then 1 2 4 8: each head is as wide as all before it together
    missing = d_model - sum(widths)
    return (*widths, missing) if missing else tuple(widths)


def prime(d_model: int) -> Widths:
    """2 3 5 7 ..., the first primes, as many as leave a larger prime for the last head."""
    widths = _close_with_a_prime(d_model)
    if not widths:
        rule = "a sum of the first primes and one larger prime"
        raise _unsuitable("prime", rule, d_model, lambda d: bool(_close_with_a_prime(d)))
    return widths


def pyramid(d_model: int) -> Widths:
    """Four levels of equal total width, each with twice the heads at half the width: 1, 2, 4 and 8 heads."""
    if d_model < 1 or d_model % 32 != 0:
        raise _unsuitable("pyramid", "a multiple of 32", d_model, lambda d: d % 32 == 0)
    level = d_model // 4
    return tuple(level // count for count in (1, 2, 4, 8) for _ in range(count))


def ones(d_model: int) -> Widths:
    """d_model heads of width 1."""
    if d_model < 1:
        raise _unsuitable("ones", "at least 1", d_model, lambda d: True)
    return (1,) * d_model


HEAD_LAYOUTS: dict[str, Callable[[int], Widths]] = {
    "uniform": uniform,
    "exponential": exponential,
    "prime": prime,
    "pyramid": pyramid,
    "ones": ones,
}


def parse_layout(text: str, d_model: int, n_layers: int) -> tuple[Widths, ...]:
    """The widths of each layer's heads, from text such as `prime`, `16+8+8+32`, `4x16` or `ones | 2x8+48`.

    One part applies to every layer; otherwise there is one part for each layer. Raises MicrogptError for a
    text that cannot be read, and for widths that do not sum to d_model.
    """
    if not 1 <= d_model <= MAX_D_MODEL:
        raise MicrogptError(f"d_model must be between 1 and {MAX_D_MODEL}, not {shown(d_model)}")
    if n_layers < 1:
        raise MicrogptError(f"a model needs at least 1 layer, not {shown(n_layers)}")
    if n_layers > MAX_LAYERS:
        raise MicrogptError(f"a model can have {MAX_LAYERS} layers at the most, not {shown(n_layers)}")
    parts = [part.strip() for part in text.split("|")]
    if len(parts) not in (1, n_layers):
        raise MicrogptError(
            f"the head layout describes {len(parts)} layers, but the model has {n_layers}: "
            "write one part for all layers, or one for each"
        )
    layers: dict[str, Widths] = {}  # equal layers share one tuple
    for number, part in enumerate(parts, 1):
        if part not in layers:
            layers[part] = _parse_part(part, d_model, f"layer {number}: " if len(parts) > 1 else "")
            if sum(map(len, layers.values())) > MAX_HEADS:
                raise MicrogptError(f"the head layout has more than {MAX_HEADS} heads")
    return tuple(layers[part] for part in parts) * (n_layers // len(parts))


def format_layout(widths_per_layer: Sequence[Sequence[int]]) -> str:
    """The shortest text that `parse_layout` reads back as these widths, such as `4x16` or `16+8+8+4x4`."""
    texts = {widths: _format_part(widths) for widths in set(map(tuple, widths_per_layer))}
    parts = [texts[tuple(widths)] for widths in widths_per_layer]
    return parts[0] if len(set(parts)) == 1 else " | ".join(parts)


def _format_part(widths: Sequence[int]) -> str:
    runs = []
    for width, equal_heads in itertools.groupby(widths):
        count = len(list(equal_heads))
        listed = "+".join([str(width)] * count)
        runs.append(min(listed, f"{count}x{width}", key=len))  # 1+1 rather than 2x1: no longer, and plainer
    return "+".join(runs)


def _parse_part(part: str, d_model: int, where: str) -> Widths:
    """The widths of one layer; `where` opens each error and names the layer, where there are several."""
    if not part:
        raise MicrogptError(f"{where}the head layout is empty")
    if part[0].isalpha():
        return _preset(part, d_model, where)

    runs = [_parse_run(run.strip(), where) for run in part.split("+")]
    # the sum is checked before the list of heads exists: 999999999x1 must not fill the memory
    total = sum(count * width for count, width in runs)
    if total != d_model:
        listed = part if len(part) <= SHOWN else f"{part[: SHOWN - 3]}..."
        raise MicrogptError(f"{where}the widths {listed} sum to {total}, but d_model is {d_model}")
    return tuple(width for count, width in runs for _ in range(count))


def _preset(name: str, d_model: int, where: str) -> Widths:
    layout = HEAD_LAYOUTS.get(name)
    if layout is None:
        close = difflib.get_close_matches(name.lower()[:40], HEAD_LAYOUTS, n=1)
        suggestion = f" (did you mean '{close[0]}'?)" if close else ""
        raise MicrogptError(
            f"{where}there is no head layout {shown(name)}{suggestion}; "
            f"use {', '.join(HEAD_LAYOUTS)}, or widths such as 4x16 or 16+8+8+32"
        )
    try:
        return layout(d_model)
    except MicrogptError as error:
        raise MicrogptError(f"{where}{error}") from None


def _parse_run(run: str, where: str) -> tuple[int, int]:
    """(count, width) of `16` or `4x16`."""
    # nine digits are more than any d_model has, and int() refuses thousands of them
    match = re.fullmatch(r"(?:([0-9]{1,9})\s*x\s*)?([0-9]{1,9})", run)
    if match is None:
        problem = f"{shown(run)} is not a width" if run else "a width is missing beside a '+'"
        raise MicrogptError(
            f"{where}{problem}: write positive whole numbers up to 999999999, such as 16 or 4x16"
        )
    count, width = int(match[1] or 1), int(match[2])
    if count == 0 or width == 0:
        raise MicrogptError(f"{where}{shown(run)} gives no width: heads and their widths must be at least 1")
    return count, width


def _close_with_a_prime(d_model: int) -> Widths:
    """The longest run of first primes that one larger prime completes to d_model; () if there is none."""
    best: Widths = ()
    first: list[int] = []
    for candidate in _primes():
        missing = d_model - sum(first)
        if missing < candidate:  # a larger prime does not fit any more
            return best
        if _is_prime(missing):
            best = (*first, missing)
        first.append(candidate)
    raise AssertionError("there is no last prime")


def _primes() -> Iterator[int]:
    return (number for number in itertools.count(2) if _is_prime(number))


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _unsuitable(preset: str, rule: str, d_model: int, works: Callable[[int], bool]) -> MicrogptError:
    """The error for a d_model that the preset cannot serve: names the nearest that work, below and above."""
    below = next((d for d in range(d_model - 1, 0, -1) if works(d)), None)
    above = next(d for d in itertools.count(max(d_model + 1, 1)) if works(d))
    nearest = f"that works is {above}" if below is None else f"that work are {below} and {above}"
    return MicrogptError(
        f"the {preset} head layout needs a d_model that is {rule}, which {d_model} is not; "
        f"the nearest {nearest}"
    )
