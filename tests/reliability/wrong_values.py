"""Of every key that a config can have, by the schema itself: a wrong type, out of range, misspelt, null.

A key of a kind that is not known here, or a number without both bounds, fails: it needs a wrong value, too.
"""

from collections.abc import Iterator
from math import inf, nextafter
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from moe_lab.config.keys import choices, dotted, is_section, sections
from moe_lab.config.messages import shown
from moe_lab.config.methods import Settings

CHOSEN_BY = {"data": "source"}  # the key that makes a choice; of methods, `name`
LABELS, WEIGHTS, MANY = "{a: 0}", ("{a: 0}", "{a: 2000000}"), "a" * 65
SPECIAL: dict[str, tuple[str, ...]] = {  # wrong values of keys whose type does not tell
    "name": ("[a]", "{a: 1}", '""', MANY, "-a"),
    "data.path": ("[a]", "{}", '""', "{a: [b]}"),
    "data.tokenizer": ("[a]", "{a: b}"),
    "data.weights": ("5", "[1]", "{}", "{a: x}", *WEIGHTS),
    "data.domain_weights": ("5", "{a: 1}", "[]", "[x]", "[0]", "[2000000]"),
    "model.moe_layers": ("some", "5", "[]", "[-1]", "[0, 0]", "[x]", "[1.5]"),
    "moe.router": ("5", "[a]", "nonsense"),
    "moe.balance": ("5", "[a]", "nonsense"),
    "moe.extra": ("5", "switch", "{name: switch}"),
}


class WrongValue(NamedTuple):
    """A config with one mistake, and where it must be pointed at."""

    key: str  # as messages name it
    kind: str
    text: str
    line: int
    column: int
    help: str = ""  # what the help must name


def wrong_values() -> Iterator[WrongValue]:
    """Every mistake at every key."""
    for path, model in sections().items():
        yield from _of_model(path, "", model)
    for path, models in choices().items():
        for choice, model in models.items():
            yield from _of_model(path, choice, model)


def _of_model(path: str, choice: str, model: type[Settings]) -> Iterator[WrongValue]:
    for key, field in model.model_fields.items():
        if choice and key == CHOSEN_BY.get(path, "name"):
            continue
        above = [*_above(path, choice), *_required(model, key, path)]
        whole = [*_above(path, choice), *_required(model, "", path)]
        indent = len(above[-1]) - len(above[-1].lstrip(" -")) if above else 0
        steps = [*path.split("."), *(["0"] if path == "moe.extra" else []), key]
        name = shown(tuple(steps if path else [key]))
        for kind, value in mistakes(dotted(path, key), field):
            text = "\n".join([*above, f"{' ' * indent}{key}: {value}"])
            yield WrongValue(name, kind, text, len(above) + 1, indent + len(key) + 3)
        misspelt = "\n".join([*whole, f"{' ' * indent}{key}{key[-1]}: 1"])
        yield WrongValue(name + key[-1], "misspelt", misspelt, len(whole) + 1, indent + 1, key)


def _above(path: str, choice: str) -> list[str]:
    """The lines that lead to a section: none, `train:`, or those that make its choice."""
    if not path:
        return []
    steps = path.split(".")
    lines = [f"{'  ' * depth}{step}:" for depth, step in enumerate(steps)]
    item = "- " if path == "moe.extra" else ""
    chosen = f"{'  ' * len(steps)}{item}{CHOSEN_BY.get(path, 'name')}: {choice}"
    return [*lines, chosen] if choice else [lines[0], "  # its keys"]


def _required(model: type[Settings], but: str, path: str) -> Iterator[str]:
    """Lines for what the section cannot do without."""
    depth = 2 * len(path.split(".")) + 2 * (path == "moe.extra")
    for key, field in model.model_fields.items():
        if field.is_required() and key not in (but, "name", "source"):
            words = [w for w in get_args(field.annotation) if isinstance(w, str)]
            value = {"path": "text.txt", "weight": 1}.get(key) or words[0]
            yield f"{' ' * depth}{key}: {value}"


def mistakes(path: str, field: FieldInfo) -> Iterator[tuple[str, str]]:
    """The kind and the text of every wrong value that a key is tried with."""
    if is_section(path):
        yield from (("type", value) for value in ("5", "word", "[a]", "null"))
        return
    kinds, bounds = _taken_apart(field)
    if NoneType not in kinds:
        yield "null", "null"
    if path in SPECIAL:
        yield from (("type", value) for value in SPECIAL[path])
        return
    kinds.discard(NoneType)
    (kind,) = kinds
    yield from (("type", value) for value in OF_TYPE[kind])
    if kind in (int, float):
        yield from _outside(kind, bounds)


OF_TYPE: dict[Any, tuple[str, ...]] = {
    int: ("word", "1.5", "1e400", "true", "[1]", "{a: 1}", '"1"'),
    float: ("word", ".nan", "-.inf", "1e400", "true", "[1]", "{a: 1}", '"1"'),
    bool: ("word", "1", "yes", "[true]", '"true"'),
    Literal: ("nonsense", "5", "[a]", "{a: 1}", "true"),
}


def _taken_apart(field: FieldInfo) -> tuple[set[Any], dict[type, float]]:
    """The plain types that a field can have, Literal for words, and its bounds by their class."""
    kinds: set[Any] = set()
    bounds = {type(bound): _limit(bound) for bound in field.metadata if isinstance(bound, BOUNDS)}
    waiting = [field.annotation]
    while waiting:
        annotation = waiting.pop()
        if get_origin(annotation) in (Union, UnionType):
            waiting += get_args(annotation)
        elif get_origin(annotation) is Annotated:
            plain, *metadata = get_args(annotation)
            waiting.append(plain)
            bounds |= {
                type(bound): _limit(bound) for bound in metadata if isinstance(bound, BOUNDS)
            }
        else:
            kinds.add(get_origin(annotation) or annotation)
    return kinds, bounds


BOUNDS = (Ge, Gt, Le)


def _limit(bound: Any) -> float:
    return getattr(bound, type(bound).__name__.lower())


def _outside(kind: type, bounds: dict[type, float]) -> Iterator[tuple[str, str]]:
    """The nearest numbers that are not allowed."""
    assert Le in bounds, "a number needs an upper bound"
    assert Ge in bounds or Gt in bounds, "a number needs a lower bound"
    step = (lambda x, way: x + way) if kind is int else (lambda x, way: nextafter(x, way * inf))
    below = bounds[Gt] if Gt in bounds else step(bounds[Ge], -1)
    for name, value in (("below", below), ("above", step(bounds[Le], 1))):
        yield name, repr(value)
