"""Which model to train in a given time, and for how many steps: chosen from the text and the machine's speed.

Nothing here looks at a clock or changes anything: the same numbers give the same choice.

A model of N weights spends about 6N operations on each character that it reads, so in the same time a larger
model reads less. Along the ladder the models grow by a few percent from one to the next. Each has a number of
characters after which the next one is the better use of the time (`characters_worth`). A model is chosen if
the time suffices for as many characters as are worth reading for the model before it. So more time never
chooses a smaller model, and never fewer characters. A short text teaches only so much: when the largest model
that goes with it has read it MOST_EPOCHS times, the run ends, even where time is left.

n-grams of the text are interpolated with the network where the memory cap and the time have room for them
(counting.py).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from microgpt.bounds import BOUNDS
from microgpt.config import TrainConfig, parse_size
from microgpt.model.heads import format_layout
from microgpt.training.counting import NOTHING, Cost, Counting, candidates, cost, reason, shared
from microgpt.training.ladder import Rung, Size, fits, ladder

# Characters for each weight of the layers that a model reads before a larger one is better.
CHARACTERS_PER_WEIGHT = 25
# A character is worth as much when it is read again, up to this many times (arXiv 2305.16264) ...
FRESH_EPOCHS = 4
# ... then models are kept smaller, by this power of the epochs, and read it more often, up to so many times.
STALE_POWER = 0.5
MOST_EPOCHS = 16
# and this many times as often where the machine is faster than when the model was chosen.
SOME_MORE = 1.25
# The largest model is the first one that has more weights than this for each character.
MOST_WEIGHTS = 50
# What a weight has learned fades in this part of an epoch, or in so many steps where those are more.
FADING, LEAST_FADING = 0.75, 20
LEAST_DECAY = 0.1
# The last tenth of the text is held out, but not more characters than make the loss precise, and nothing of a
# text of which the tenth would say nothing.
HELD_OUT, MOST_HELD_OUT, LEAST_HELD_OUT = 0.1, 200_000, 100
# Evaluations take this part of the time, and there is at least one, at the end.
EVALUATING, MOST_EVALUATIONS = 0.02, 20
# where more of the time is left over, the user is told why
MUCH_OF_THE_TIME = 0.1
MOST_STEPS = int(BOUNDS["steps"][1])
# the options that decide how much work a step is
SIZES = frozenset({*Rung._fields, "d_ff"})


class Speed(NamedTuple):
    """Operations in a second, as `Size` counts them."""

    training: float
    evaluation: float


@dataclass(frozen=True)
class Plan:
    """What was chosen for a time."""

    size: Size
    config: TrainConfig
    n_train: int  # characters of the text to train on
    evaluations: int
    ngrams: Cost  # of those that fit the memory; where they do not fit the time, `config` has none
    is_largest: bool  # whether no larger model goes with the options and the memory cap
    exhausted: bool  # whether the text has no more to teach, however much time is left
    seconds: float  # that all takes at the speed for which it was chosen

    @property
    def characters(self) -> int:
        """How many are read, each as often as it is read."""
        return self.config.steps * self.size.characters

    @property
    def epochs(self) -> float:
        return self.characters / self.n_train


def choose(
    seconds: float,
    n_characters: int,
    vocabulary_size: int,
    given: Mapping[str, Any],
    speed: Speed,
    counting: Counting,
    settled: Plan | None = None,
) -> Plan:
    """The model and the steps for this time.

    n_characters, vocabulary_size  of the whole text
    given                          options of TrainConfig that are kept, `file` among them
    speed, counting                of the machine, with models and with this text's n-grams
    settled                        an earlier choice, whose sizes are kept: only the steps are chosen

    Raises NoSizeError where no size goes with them.
    """
    options = {"val_fraction": _held_out(n_characters), "weight_decay": LEAST_DECAY, **given}
    if settled is not None:
        options |= {name: getattr(settled.config, name) for name in SIZES}
    n_val = round(n_characters * options["val_fraction"])
    n_train = max(1, n_characters - n_val)
    ngrams, sizes = _in_memory(options, n_train, n_val, vocabulary_size, counting)
    chosen = sizes[0]
    counted, seconds = shared(seconds, ngrams, told="ngrams" in given)
    steps, most, least = _steps(chosen, seconds, n_val, speed), _most_steps(chosen, n_train), 1
    for size in sizes[1:]:
        if chosen.weights > MOST_WEIGHTS * n_train:
            break
        affordable = _steps(size, seconds, n_val, speed)
        if affordable * size.characters < most * chosen.characters:
            steps = min(steps, most)  # it reads all that is worth its while
            break
        # nor does it ever read less than the one before
        least = -(-most * chosen.characters // size.characters)
        chosen, steps, most = size, affordable, max(least, _most_steps(size, n_train))
    is_largest = settled.is_largest if settled else chosen is sizes[-1]
    readings = max(least, math.ceil(MOST_EPOCHS * n_train / chosen.characters))
    exhausted = steps > readings and chosen.weights > MOST_WEIGHTS * n_train
    if settled is not None and not is_largest:  # the machine has become faster since
        steps = min(steps, math.ceil(SOME_MORE * readings))
    plan = _plan(chosen, readings if exhausted else steps, seconds, n_train, n_val, given, speed)
    plan = dataclasses.replace(plan, ngrams=ngrams, is_largest=is_largest, exhausted=exhausted)
    if counted:
        return dataclasses.replace(plan, seconds=plan.seconds + ngrams.seconds)
    return dataclasses.replace(plan, config=dataclasses.replace(plan.config, ngrams=0))


def _in_memory(
    options: Mapping[str, Any], n_train: int, n_val: int, V: int, counting: Counting
) -> tuple[Cost, tuple[Size, ...]]:
    """The n-grams that are given, or the best that fit the memory cap; and the models beside them."""
    if "ngrams" in options:
        ngrams = cost(options["ngrams"], n_train, n_val, V, counting)
        return ngrams, ladder(frozenset(options.items()), n_train, n_val, V, ngrams.n_bytes)
    cap = parse_size(options.get("memory_cap", TrainConfig.memory_cap))
    for ngrams in candidates(cap, n_train, n_val, V, counting):
        sizes = ladder(
            frozenset({**options, "ngrams": ngrams.order}.items()), n_train, n_val, V, ngrams.n_bytes
        )
        if fits(sizes[0], n_train, n_val, ngrams.n_bytes):
            break
    return ngrams, sizes


def characters_worth(weights: int, n_train: int) -> float:
    """How many characters a model reads, of a text that has n_train, before a larger one is better.

    A text of which half would be read is read as a whole, and none is read more than MOST_EPOCHS times.
    """
    fresh = CHARACTERS_PER_WEIGHT * weights
    worth = fresh * max(1.0, fresh / (FRESH_EPOCHS * n_train)) ** STALE_POWER
    worth = min(worth, MOST_EPOCHS * n_train)
    return n_train if n_train / 2 <= worth < n_train else worth


def weight_decay(config: TrainConfig, n_train: int) -> float:
    """The weight decay that keeps a model from learning a text of n_train characters by heart.

    A step takes the part lr * decay from each weight, so that what was learned fades in 1 / (lr * decay)
    steps. The best such time is a constant number of epochs, whatever the model, the batch and the rate are
    (Wang & Aitchison 2024, arXiv 2405.13698). In two digits, and LEAST_DECAY for long texts. The rate is that
    of the rule. With a much lower one little is learned by heart, and weights would fade before they have
    learned anything.
    """
    rate = dataclasses.replace(config, lr=None, min_lr=None).rates.lr
    epoch = n_train / (config.batch_size * config.seq_len)
    decay = 1 / (rate * max(LEAST_FADING, FADING * epoch))
    return max(LEAST_DECAY, float(f"{decay:.2g}"))


def reasons(plan: Plan, minutes: float, given: Mapping[str, Any], speed: Speed) -> list[str]:
    """What was chosen and why, in three lines; and in one more about n-grams, unless they are given."""
    config, architecture, epochs = plan.config, plan.size.architecture, plan.epochs
    V = architecture.vocabulary_size
    left = 60 * minutes - plan.seconds
    is_much = left > MUCH_OF_THE_TIME * 60 * minutes
    why = f"; a larger one would {'be no better' if plan.exhausted else 'read too little'}"
    if "d_model" in given and "n_layers" in given:
        why = ", as it was told"
    n = f"{config.steps:,} step{'' if config.steps == 1 else 's'}"
    steps = f"{n} of {config.batch_size} x {config.seq_len} characters"
    if epochs < 0.95:
        part = f"{_rounded(100 * epochs)}% of the {plan.n_train:,}"
        reading = f"{steps} read {part} to train on; more time would read more"
    else:
        reading = f"{steps} read the {plan.n_train:,} to train on {_rounded(epochs)} times"
        if plan.exhausted and is_much:
            reading += f", in {_rounded(plan.seconds)} s; to read them more often would be learning by heart"
        elif config.weight_decay:
            reading += f"; weight decay {config.weight_decay:g}, so that it learns less of them by heart"
    judged = "nothing is held out to judge the model"
    if plan.evaluations:
        times = "once, at the end" if plan.evaluations == 1 else f"{plan.evaluations} times"
        judged = f"the last {100 * config.val_fraction:.3g}% are held out and judge the model {times}"
    time = f"{minutes:g} minute{'' if minutes == 1 else 's'}"
    return [
        f"chosen for {time} at {speed.training / 1e9:.3g} GFLOP/s in steps: "
        f"d_model {config.d_model}, {config.n_layers} layer{'' if config.n_layers == 1 else 's'}, "
        f"d_ff {architecture.d_ff}, heads {format_layout(architecture.heads)}{why}",
        reading,
        *([] if "ngrams" in given else [_about_ngrams(plan, V, left if is_much else 0.0)]),
        f"{judged}; config.toml holds the choice, and repeats it without a clock",
    ]


def _about_ngrams(plan: Plan, V: int, left: float) -> str:
    """What was chosen of n-grams and why; `left` are the seconds that remain, where those are many."""
    about = reason(plan.ngrams, V, counted=plan.config.ngrams > 0)
    if plan.config.ngrams or plan.exhausted or not plan.ngrams.order or not left:
        return about
    return f"{about}; {_rounded(left)} s are left over, so that with more time the model is never smaller"


def _rounded(number: float) -> str:
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def _held_out(n_characters: int) -> float:
    """The part of the text to hold out, in one digit."""
    if n_characters * HELD_OUT < LEAST_HELD_OUT:
        return 0.0
    return float(f"{min(HELD_OUT, MOST_HELD_OUT / n_characters):.0e}")


def _most_steps(size: Size, n_train: int) -> int:
    """The steps after which a larger model is better."""
    return math.ceil(characters_worth(size.weights, n_train) / size.characters)


def _steps(size: Size, seconds: float, n_val: int, speed: Speed) -> int:
    """The steps for which the time suffices, with evaluations."""
    step, evaluation = size.step / speed.training, n_val * size.evaluation / speed.evaluation
    every = size.config.eval_every
    if every is not None:
        step, evaluations = step + evaluation / every, evaluation
    else:
        evaluations = max(evaluation, EVALUATING * seconds) if n_val else 0.0
    return min(MOST_STEPS, max(1, int((seconds - evaluations) / step)))


def _plan(
    size: Size, steps: int, seconds: float, n_train: int, n_val: int, given: Mapping[str, Any], speed: Speed
) -> Plan:
    """The plan, with all that depends on the number of steps."""
    every = size.config.eval_every
    training, evaluation = steps * size.step / speed.training, n_val * size.evaluation / speed.evaluation
    if not n_val:
        evaluations = 0
    elif every is not None:
        evaluations = -(-steps // every)
    else:
        evaluations = min(max(1, int((seconds - training) / evaluation)), MOST_EVALUATIONS, steps)
        every = -(-steps // evaluations) if evaluations > 1 else None
    options: dict[str, Any] = {
        "weight_decay": weight_decay(size.config, n_train),
        "eval_every": every,
    }
    options = {name: value for name, value in options.items() if name not in given}
    return Plan(
        size=size,
        config=dataclasses.replace(size.config, steps=steps, **options),
        n_train=n_train,
        evaluations=evaluations,
        ngrams=NOTHING,
        is_largest=False,
        exhausted=False,
        seconds=training + evaluations * evaluation,
    )
