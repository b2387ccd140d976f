"""A stochastic grammar with a memory, whose entropy is known exactly.

A grammar is a text of rules, `name: one alternative | another`, each from the start of a line to the next
rule. The alternatives stand in order, the likely ones first; white space counts as one space, `¶` ends a line
of the text that is written, and `#` begins a comment. Braces are slots:

    {weather}                an alternative of the rule `weather`
    {hero=name.first}        an alternative of `name`, written in its form `first` and remembered as `hero`
    {friend=name.first!hero} the same, but another one than the hero
    {hero.they}              the remembered hero again, in the form `they`

A rule with several forms names them: `verb (do / did): see / saw | find / found`. A capital letter at the
start of a form (or of a rule without forms) writes a capital: `{hero.They}`, `{Weather}`.

Which alternatives a rule offers never depends on what is remembered, except through `!`. Expected values
are therefore sums over the slots, each with the distribution of what it remembers, and the entropy of a
derivation can be added up by hand. It is also the entropy of the *text* if no text has two derivations;
`clashes` proves that: the texts of the alternatives at each choice, taken together, are a prefix code.
"""

import math
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, combinations


@dataclass(frozen=True)
class Draw:
    """A slot that chooses: an alternative of `rule`, written in `form`, perhaps remembered as `name`."""

    rule: str
    form: str
    name: str | None = None
    unlike: str | None = None


@dataclass(frozen=True)
class Recall:
    """A slot that repeats a remembered choice, perhaps in another form."""

    name: str
    form: str


Symbol = str | Draw | Recall
Template = tuple[Symbol, ...]
Forms = dict[str, Template]  # one alternative: its text in each form
Memory = Mapping[str, int]  # what was chosen: the rank of the alternative

NOTHING: Memory = {}
SLOT = re.compile(r"(?:(\w+)=)?(\w+)(?:\.(\w+))?(?:!(\w+))?")


class Grammar:
    """Writes texts, reads them back, and knows their expected information and length."""

    def __init__(self, grammar: str, start: str) -> None:
        self.start = Draw(start, "text")
        self.rules: dict[str, list[Forms]] = {}
        for rule in re.split(r"\n+(?=\w)", re.sub(r"(?m)^#.*", "", grammar).strip()):
            head, body = rule.split(":", maxsplit=1)
            name, *forms = re.findall(r"\w+", head)
            self.rules[name] = [_alternative(forms or ["text"], text) for text in body.split("|")]

        self.binders: dict[str, Draw] = {}  # the one way in which each memory comes about
        draws = [slot for slot in self._slots() if isinstance(slot, Draw)]
        for draw in draws:
            if draw.name is not None:
                known = self.binders.setdefault(draw.name, draw)
                if (known.rule, known.unlike) != (draw.rule, draw.unlike):
                    raise ValueError(f"{draw.name!r} is drawn in two ways: {known} and {draw}")
        for draw in draws:
            if draw.unlike is not None:
                if self.binders[draw.unlike].rule != draw.rule:
                    raise ValueError(f"{draw.unlike!r} is not drawn from {draw.rule!r}")
                # the two memories depend on each other: `_expect` would be wrong if a form mentioned both
                if not all(_is_plain(forms) for forms in self.rules[draw.rule]):
                    raise ValueError(f"a rule drawn with ! has plain words only, and {draw.rule!r} has slots")

    def _slots(self) -> Iterator[Draw | Recall]:
        for alternatives in self.rules.values():
            for forms in alternatives:
                for template in forms.values():
                    yield from (symbol for symbol in template if not isinstance(symbol, str))

    def _odds(self, draw: Draw, memory: Memory) -> tuple[float, ...]:
        return odds(len(self.rules[draw.rule]), memory[draw.unlike] if draw.unlike else None)

    # Writing

    def write(self, random: Callable[[], float]) -> str:
        """One text; `random` returns numbers from 0 to 1 (1 excluded)."""
        pieces: list[str] = []
        self._write((self.start,), {}, random, pieces)
        return "".join(pieces)

    def _write(
        self, template: Template, memory: dict[str, int], random: Callable[[], float], pieces: list[str]
    ) -> None:
        for symbol in template:
            if isinstance(symbol, str):
                pieces.append(symbol)
            elif isinstance(symbol, Recall):
                self._write(self._recalled(symbol, memory[symbol.name]), memory, random, pieces)
            else:
                cumulative = list(accumulate(self._odds(symbol, memory)))
                rank = bisect(cumulative, random() * cumulative[-1])
                self._write(self.rules[symbol.rule][rank][symbol.form], memory, random, pieces)
                if symbol.name:
                    memory[symbol.name] = rank

    def _recalled(self, recall: Recall, rank: int) -> Template:
        return self.rules[self.binders[recall.name].rule][rank][recall.form]

    # Reading

    def read(self, text: str, start: int = 0) -> tuple[int, float]:
        """The end of the text that begins at `start`, and -log of its probability, in nats."""
        found = self._read((self.start,), text, start, NOTHING)
        if found is None:
            raise ValueError(f"not a text of this grammar at character {start}: {text[start : start + 40]!r}")
        return found[:2]

    def _read(
        self, template: Template, text: str, at: int, memory: Memory
    ) -> tuple[int, float, Memory] | None:
        nats = 0.0
        for symbol in template:
            if isinstance(symbol, str):
                if not text.startswith(symbol, at):
                    return None
                at += len(symbol)
                continue
            if isinstance(symbol, Recall):
                found = self._read(self._recalled(symbol, memory[symbol.name]), text, at, memory)
            else:
                found = self._read_choice(symbol, text, at, memory)
            if found is None:
                return None
            at, memory = found[0], found[2]
            nats += found[1]
        return at, nats, memory

    def _read_choice(
        self, draw: Draw, text: str, at: int, memory: Memory
    ) -> tuple[int, float, Memory] | None:
        only = None
        for rank, (forms, p) in enumerate(zip(self.rules[draw.rule], self._odds(draw, memory), strict=True)):
            found = self._read(forms[draw.form], text, at, memory) if p else None
            if found is not None:
                if only is not None:
                    raise ValueError(f"ambiguous: two alternatives of {draw.rule!r} fit at character {at}")
                end, nats, inner = found
                only = end, nats - math.log(p), {**inner, draw.name: rank} if draw.name else inner
        return only

    # Expected values

    def expectation(self) -> tuple[float, float]:
        """The expected information (the entropy, in nats) and the expected length of a text."""
        return self._expect((self.start,), NOTHING)

    def _expect(self, template: Template, given: Memory) -> tuple[float, float]:
        """Entropy and expected length of the template; `given` is known, all else has its own odds."""
        nats = chars = 0.0
        for symbol in template:
            if isinstance(symbol, str):
                chars += len(symbol)
                continue
            if isinstance(symbol, Recall):
                binder = self.binders[symbol.name]
                if symbol.name in given:
                    weighted = [(1.0, given[symbol.name])]
                else:
                    weighted = [(p, rank) for rank, p in enumerate(self._marginal(binder))]
                # inside a form that mentions the same memory again, it is known
                parts = [
                    (p, self._expect(self._recalled(symbol, rank), {**given, symbol.name: rank}))
                    for p, rank in weighted
                ]
            else:
                nats += self._choice_entropy(symbol)
                alternatives = self.rules[symbol.rule]
                parts = [
                    (p, self._expect(forms[symbol.form], given))
                    for p, forms in zip(self._marginal(symbol), alternatives, strict=True)
                ]
            nats += math.fsum(p * part[0] for p, part in parts)
            chars += math.fsum(p * part[1] for p, part in parts)
        return nats, chars

    def _others(self, draw: Draw) -> list[tuple[float, tuple[float, ...]]]:
        """The odds of the draw for each value of what it must differ from, and how likely that value is."""
        n = len(self.rules[draw.rule])
        if draw.unlike is None:
            return [(1.0, odds(n))]
        other = self._marginal(self.binders[draw.unlike])
        return [(p, odds(n, without=rank)) for rank, p in enumerate(other)]

    def _marginal(self, draw: Draw) -> list[float]:
        rows = self._others(draw)
        return [math.fsum(p * row[rank] for p, row in rows) for rank in range(len(self.rules[draw.rule]))]

    def _choice_entropy(self, draw: Draw) -> float:
        return math.fsum(-p * q * math.log(q) for p, row in self._others(draw) for q in row if q)

    # Proof that no text has two derivations

    def clashes(self) -> list[str]:
        """The pairs of alternatives of which one could begin with the whole other; no pair: no ambiguity.

        If no text of one alternative is the beginning of a text of another, at most one fits at any place,
        whatever follows, and reading from left to right never has a choice. What is remembered counts as
        unknown here, so that the proof covers more than can happen. A repeated choice may have the same
        form as another (many names have a "she"), because reading it decides nothing.
        """
        found = []
        for symbol in sorted({self.start, *self._slots()}, key=repr):
            templates = self._texts(symbol)
            if isinstance(symbol, Recall):
                templates = list(dict.fromkeys(templates))
            for one, other in combinations(templates, 2):
                if self._clash(one, other):
                    found.append(f"{symbol}: {one} and {other}")
        return found

    def _clash(self, one: Template, other: Template) -> bool:
        agenda = [(one, other)]
        while agenda:
            a, b = agenda.pop()
            if not a or not b:
                return True
            first, second = a[0], b[0]
            if first == second:  # if a slot is a prefix code, it has to be the same text on both sides
                agenda.append((a[1:], b[1:]))
            elif not isinstance(first, str):
                agenda.extend((text + a[1:], b) for text in self._texts(first))
            elif not isinstance(second, str):
                agenda.extend((a, text + b[1:]) for text in self._texts(second))
            elif first.startswith(second) or second.startswith(first):
                n = min(len(first), len(second))
                agenda.append((_without_start(a, n), _without_start(b, n)))
        return False

    def _texts(self, symbol: Draw | Recall) -> list[Template]:
        rule = symbol.rule if isinstance(symbol, Draw) else self.binders[symbol.name].rule
        return [forms[symbol.form] for forms in self.rules[rule]]


@cache
def odds(n: int, without: int | None = None) -> tuple[float, ...]:
    """The probabilities of n alternatives: 1/8, 1/9, 1/10, ... up to a factor, 0 for the one left out."""
    weights = [0.0 if rank == without else 1 / (rank + 8) for rank in range(n)]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def _without_start(template: Template, n: int) -> Template:
    first = template[0]
    assert isinstance(first, str)
    return (first[n:], *template[1:]) if first[n:] else template[1:]


def _is_plain(forms: Forms) -> bool:
    return all(isinstance(symbol, str) for template in forms.values() for symbol in template)


def _alternative(names: list[str], text: str) -> Forms:
    forms = {}
    texts = text.split(" / ")
    if len(texts) != len(names):
        raise ValueError(f"{text.strip()!r} should have {len(names)} forms: {', '.join(names)}")
    for name, form in zip(names, texts, strict=True):
        template = _template(form)
        forms[name] = template
        forms[name.capitalize()] = _with_capital(template)
    return forms


def _with_capital(template: Template) -> Template:
    first, rest = template[0], template[1:]
    if isinstance(first, str):
        return (first[0].upper() + first[1:], *rest)
    return (replace(first, form=first.form.capitalize()), *rest)


def _template(text: str) -> Template:
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ?¶ ?", "\n", text)
    pieces = re.split(r"\{(.*?)\}", text)  # literal, slot, literal, slot, ..., literal
    symbols: list[Symbol] = []
    for i, piece in enumerate(pieces):
        if i % 2:
            symbols.append(_slot(piece))
        elif piece:
            symbols.append(piece)
    return tuple(symbols)


def _slot(text: str) -> Symbol:
    match = SLOT.fullmatch(text)
    if match is None:
        raise ValueError(f"not a slot: {{{text}}}")
    name, rule, form, unlike = match.groups()
    if form and not name:
        return Recall(rule, form)
    if form is None:
        rule, form = rule.lower(), "Text" if rule[0].isupper() else "text"
    return Draw(rule, form, name, unlike)
