"""Values by rule: `log:1e-4:1:9`, `lin:1e-3:5e-3:5`, `range:2:17:2`, or with round brackets and commas."""

import re
from collections.abc import Callable, Sequence
from itertools import islice
from math import isfinite

from moe_lab.config.source import Node, located, scalar
from moe_lab.errors import Place, Problem

Number = int | float

FORM = re.compile(r"(log|lin|range)(?::(.*)|\((.*)\))")
EXAMPLES = {
    "log": "from, to and how many, above 0: log:1e-4:1:9; 0 goes beside it: 0,log:1e-4:1:9",
    "lin": "from, to and how many: lin:1e-3:5e-3:5",
    "range": "integers: from, below and step: range:2:17:2",
}
MOST = 10_000  # values of one axis
TOLERANCE = 1e-12  # relative, within which the shortest number is taken


def is_spacing(text: str) -> bool:
    """Whether a text is a rule for values, right or wrong."""
    return FORM.fullmatch(text) is not None


def spaced(text: str, place: Place, problems: list[Problem]) -> list[Node]:
    """The values of a rule, both ends included but for `range`; what is wrong is added to `problems`."""
    found = FORM.fullmatch(text)
    assert found is not None, text
    kind, colons, commas = found.groups()
    parts = colons.split(":") if commas is None else commas.split(",")
    try:
        values = RULES[kind]([_number(part.strip()) for part in parts])
    except ValueError as error:
        problems.append(Problem(f"'{text}': {error}", place, EXAMPLES[kind]))
        return []
    return [located(value, place) for value in values]


def _number(text: str) -> Number:
    value = scalar(text)
    if isinstance(value, bool | str | None) or not isfinite(value):
        raise ValueError(f"'{text}' is not a number")
    return value


def _geometric(numbers: Sequence[Number]) -> list[Number]:
    start, end, count = _ends(numbers)
    if min(start, end) <= 0:
        raise ValueError(f"{min(start, end)} is not above 0")
    powers = [
        start ** (1 - share) * end**share
        for share in (i / (count - 1) for i in range(1, count - 1))
    ]
    inner = [_rounded(power, TOLERANCE * power, start, end) for power in powers]
    return [start, *inner, end]


def _linear(numbers: Sequence[Number]) -> list[Number]:
    start, end, count = _ends(numbers)
    shares = (i / (count - 1) for i in range(1, count - 1))
    tolerance = TOLERANCE * max(abs(start), abs(end))
    inner = [_rounded(start * (1 - s) + end * s, tolerance, start, end) for s in shares]
    return [start, *inner, end]


def _integers(numbers: Sequence[Number]) -> list[Number]:
    bounds = [number for number in numbers if isinstance(number, int)]
    if len(bounds) != len(numbers) or len(bounds) not in (2, 3):
        raise ValueError("two or three integers are needed")
    if bounds[2:] == [0]:
        raise ValueError("the step is 0")
    values: list[Number] = list(islice(range(*bounds), MOST + 1))
    if not values:
        raise ValueError("there is no value in it")
    _refuse_many(len(values))
    return values


RULES: dict[str, Callable[[Sequence[Number]], list[Number]]] = {
    "log": _geometric,
    "lin": _linear,
    "range": _integers,
}


def _ends(numbers: Sequence[Number]) -> tuple[Number, Number, int]:
    if len(numbers) != 3:
        raise ValueError(f"three numbers are needed, not {len(numbers)}")
    start, end, count = numbers
    if not isinstance(count, int) or count < 2:
        raise ValueError(f"{count} is not a number of values, which are 2 or more")
    if start == end:
        raise ValueError("both ends are the same")
    _refuse_many(count)
    return start, end, count


def _refuse_many(count: int) -> None:
    if count > MOST:
        raise ValueError(f"an axis has at most {MOST:,} values")


def _rounded(value: float, tolerance: float, *ends: Number) -> Number:
    """The number of fewest digits near a value; an integer if both ends are written as integers."""
    tries = (float(f"{value:.{digits}g}") for digits in range(1, 18))
    short = (
        0.0 if abs(value) <= tolerance else next(t for t in tries if abs(t - value) <= tolerance)
    )
    whole = short.is_integer() and all(isinstance(end, int) for end in ends)
    return int(short) if whole else short
