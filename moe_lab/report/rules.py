"""Rules of a gate, each saying what makes it fail, in a small grammar that is read by hand and never executed.

rule  = "collapse" | "skew" | name op limit
op    = ">" | ">=" | "<" | "<="
limit = number | "baseline" [("*" | "+" | "-") number]
"""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import NoReturn

from moe_lab.errors import COMMAND_LINE, ConfigError, Place, Problem

VERDICT_WORDS = ("collapse", "skew")
COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "*": operator.mul,
    "+": operator.add,
    "-": operator.sub,
}
WORD = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d][\w.-]*)|(?P<comparison>[<>]=?)|(?P<arithmetic>[*+-])|(?P<other>\S)"
)


@dataclass(frozen=True)
class Limit:
    """A number, or one that is reckoned from the baseline run's value."""

    number: float
    arithmetic: str = ""  # how the number changes the baseline's value; blank: the number alone

    def value(self, baseline: float | None) -> float:
        """The limit, given the baseline's value where it is asked for."""
        if not self.arithmetic:
            return self.number
        assert baseline is not None
        return ARITHMETIC[self.arithmetic](baseline, self.number)


@dataclass(frozen=True)
class Rule:
    """One condition under which a gate fails."""

    text: str
    name: str  # a column or one of VERDICT_WORDS
    column: int  # where the name stands in the text, from 1
    comparison: str = ""  # blank for VERDICT_WORDS
    limit: Limit | None = None

    @property
    def needs_baseline(self) -> bool:
        """Whether the limit depends on another run."""
        return self.limit is not None and bool(self.limit.arithmetic)

    def meets(self, value: float, limit: float) -> bool:
        """Whether a value makes the rule fail."""
        return bool(COMPARISONS[self.comparison](value, limit))

    def problem(self, message: str, remedy: str | None = None) -> Problem:
        """A problem that points at the rule's name."""
        place = Place(COMMAND_LINE, 1, self.column, self.text, len(self.name))
        return Problem(message, place, remedy)


def parse(text: str) -> Rule:
    """One rule; raises ConfigError that points at what could not be read."""
    words = _Words(text)
    name = words.take("name", "the name of a column, collapse or skew")
    if name.text in VERDICT_WORDS:
        words.end(f"nothing after '{name.text}', which stands alone")
        return Rule(text, name.text, name.column)
    if words.at_end:
        near = get_close_matches(name.text, VERDICT_WORDS, 1)
        remedy = f"did you mean '{near[0]}'?" if near else f"such as '{name.text} > 1'"
        words.refuse("one of > >= < <=", remedy)
    comparison = words.take("comparison", "one of > >= < <=")
    limit = _limit(words)
    words.end("the end of the rule")
    return Rule(text, name.text, name.column, comparison.text, limit)


def refuse_unknown(
    rules: Sequence[Rule], known: Iterable[str], endings: Sequence[str] = ()
) -> None:
    """Raises ConfigError for names that are not known and do not have one of the endings."""
    names = [*known, *VERDICT_WORDS]
    unknown = [rule for rule in rules if rule.name not in names]
    unknown = [rule for rule in unknown if not rule.name.endswith(tuple(endings))]
    if unknown:
        raise ConfigError.of([_unknown(rule, names) for rule in unknown])


def refuse_baseline(rules: Sequence[Rule], remedy: str) -> None:
    """Raises ConfigError if a rule needs a baseline, where none was given."""
    needing = [rule for rule in rules if rule.needs_baseline]
    if needing:
        message = "the limit is that of a baseline, and none was given"
        raise ConfigError.of([rule.problem(message, remedy) for rule in needing])


def _unknown(rule: Rule, names: Sequence[str]) -> Problem:
    near = get_close_matches(rule.name, names, 1)
    remedy = f"did you mean '{near[0]}'?" if near else "the columns are listed in runs/README.md"
    return rule.problem(f"there is no column '{rule.name}' in the last evaluation", remedy)


def _limit(words: "_Words") -> Limit:
    if words.next_text == "baseline":
        words.take("name", "")
        if words.at_end:
            return Limit(1.0, "*")
        sign = words.take("arithmetic", "* + - or the end of the rule").text
        return Limit(words.number("a number"), sign)
    sign = words.take("arithmetic", "").text if words.next_text in ("+", "-") else "+"
    number = words.number("a number or baseline")
    return Limit(-number if sign == "-" else number)


@dataclass(frozen=True)
class _Word:
    kind: str
    text: str
    column: int  # from 1


class _Words:
    """A rule's words, taken from the left."""

    def __init__(self, text: str):
        self.text = text
        self.rest = [
            _Word(str(found.lastgroup), found[0], found.start() + 1)
            for found in WORD.finditer(text)
        ]

    @property
    def at_end(self) -> bool:
        return not self.rest

    @property
    def next_text(self) -> str:
        return self.rest[0].text if self.rest else ""

    def take(self, kind: str, expected: str) -> _Word:
        """The next word, which must be of a kind."""
        if self.at_end or self.rest[0].kind != kind:
            self.refuse(expected)
        return self.rest.pop(0)

    def number(self, expected: str) -> float:
        """The next word as a finite number."""
        is_number = bool(self.rest) and self.rest[0].kind == "number"
        if is_number and not isfinite(float(self.next_text)):
            self.refuse("a finite number")
        return float(self.take("number", expected).text)

    def end(self, expected: str) -> None:
        """Refuse what is left."""
        if self.rest:
            self.refuse(expected)

    def refuse(self, expected: str, remedy: str | None = None) -> NoReturn:
        """Point at the next word, or behind the last one."""
        found = self.rest[0] if self.rest else _Word("end", "", len(self.text.rstrip()) + 1)
        got = f"got '{found.text}'" if found.text else "the rule ends here"
        place = Place(COMMAND_LINE, 1, found.column, self.text, len(found.text))
        raise ConfigError(f"expected {expected}; {got}", place=place, help=remedy)
