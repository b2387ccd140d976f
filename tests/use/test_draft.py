"""A text written together with a model, against what `generate` writes and what `losses` says of it."""

import math

import numpy as np
import pytest
from drafts import SAMPLING, VOCABULARY, draft_of, model, ngrams
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt.errors import MicrogptError
from microgpt.use.evaluate import Evaluator
from microgpt.use.generate import Generator, Sampling, window_begin

V = len(VOCABULARY)


def generated(prompt, length, sampling=SAMPLING, **options):
    pieces = Generator(model(**options)).stream(VOCABULARY.encode(prompt or "\n"), length, sampling)
    return "".join(map(VOCABULARY.decode, pieces))


@pytest.mark.parametrize("prompt", ["", "a", "fed a ", "a big dad fed a cab"])
@pytest.mark.parametrize("options", [{}, {"token_shift": True, "positions": "rope"}, {"ngrams": ngrams()}])
def test_whoever_takes_every_continuation_has_what_generate_writes(prompt, options):
    draft = draft_of(prompt, **options)
    for ahead, accepted in ((3, 1), (9, 7), (2, 2), (12, 20)):
        while len(draft.continuation) < ahead:
            draft.draw()
        draft.accept(accepted)
    written = draft.text.removeprefix(prompt)
    assert len(written) == 1 + 7 + 2 + 12
    assert written == generated(prompt, len(written), **options)


def test_the_window_is_that_of_a_stream():
    for seq_len in (1, 2, 7, 8):
        begin, in_window = 0, 1
        for n in range(1, 40):
            assert (window_begin(n, seq_len), n - window_begin(n, seq_len)) == (begin, in_window)
            if in_window == seq_len:
                begin += seq_len - seq_len // 2
                in_window = seq_len // 2
            in_window += 1


@pytest.mark.parametrize("options", [{}, {"ngrams": ngrams()}])
def test_the_surprise_is_the_loss_in_bits(options):
    """Evaluation sees the same characters before each one, while all of them fit the window."""
    text = "\na bad"
    draft = draft_of(**options)
    for character in text[1:]:
        probability = dict(draft.alternatives(V))[character]
        draft.write(character)
        assert draft.written[-1] == (character, pytest.approx(-math.log2(probability), rel=1e-6))
    losses = np.concatenate(
        [
            values.copy()
            for _, values in Evaluator(model(**options), VOCABULARY.encode(text).astype(np.uint8)).losses()
        ]
    )
    assert [bits for _, bits in draft.written] == pytest.approx(losses / math.log(2), rel=1e-4)


def test_alternatives_are_the_likeliest_characters():
    draft = draft_of("a")
    every = draft.alternatives(100)
    assert len(every) == V
    assert sum(probability for _, probability in every) == pytest.approx(1)
    assert draft.alternatives(3) == sorted(every, key=lambda pair: -pair[1])[:3]
    greedy = draft_of("a", Sampling(temperature=0))
    greedy.draw()
    assert greedy.continuation == every[0][0]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([*"abc \n", "erase", "draw", "accept", "another"]), max_size=30))
def test_whatever_was_done_before_only_the_text_decides(actions):
    """The rows that are kept are those of the text: a draft that is new knows the same."""
    draft = draft_of("fed ")
    for action in actions:
        match action:
            case "erase":
                draft.erase()
            case "draw":
                draft.draw()
            case "accept":
                draft.accept(2)
            case "another":
                draft.draw_another()
            case character:
                draft.write(character)
    new = draft_of("fed ")
    for character in draft.text.removeprefix("fed "):
        new.write(character)
    assert new.text == draft.text
    assert [bits for _, bits in new.written] == pytest.approx([bits for _, bits in draft.written], rel=1e-5)
    expected = pytest.approx(dict(new.alternatives(V)), rel=1e-5)
    assert dict(draft.alternatives(V)) == expected


def test_another_continuation_is_that_of_the_next_seed():
    draft = draft_of("a ")
    draft.draw_another()
    for _ in range(5):
        draft.draw()
    assert draft.continuation == generated("a ", 5, Sampling(temperature=1.0, seed=SAMPLING.seed + 1))


def test_the_continuation_stays_while_it_is_followed_and_no_longer():
    draft = draft_of("a ")
    for _ in range(5):
        draft.draw()
    expected = draft.continuation
    draft.write(expected[0])
    assert draft.continuation == expected[1:]
    draft.write(next(c for c in VOCABULARY.characters if c != expected[1]))
    assert draft.continuation == ""


def test_the_prompt_stays_and_an_unknown_character_is_named():
    draft = draft_of("a ")
    draft.erase()
    assert (draft.text, draft.written) == ("a ", [])
    with pytest.raises(MicrogptError, match=r"the model does not know 'é' \(U\+00E9\)"):
        draft.write("é")
    assert draft.text == "a "
    with pytest.raises(MicrogptError, match="the model does not know 'X'"):
        draft_of("X")
