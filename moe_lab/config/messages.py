"""What pydantic found wrong, in the words and at the place of the user's text."""

import json
import re
from collections.abc import Sequence
from typing import Any, get_args

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from moe_lab.config import keys
from moe_lab.config.data import LARGEST_WEIGHT
from moe_lab.config.source import Node, scalar
from moe_lab.errors import Place, Problem

SHOWN = 60  # characters of a value in a message
WEIGHTS = f"(0, {LARGEST_WEIGHT:.0f}]"
EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "text_files": "a file, a folder, or {label: file, …}",
    "labelled_numbers": f"numbers in {WEIGHTS} as {{label: number, …}}",
    "positive_numbers": f"a list of numbers in {WEIGHTS}",
    "model_type": "a mapping",
    "block_indices": "all, or a list of distinct block indices from 0",
}
RANGE_TYPES = ("finite_number", "greater_than", "greater_than_equal", "less_than_equal")
SWEEP_FILE = (("axes",), ("paired",))  # keys of one, which is no config
BEYOND = {"moe.n_experts": "a model without experts has model.moe_layers: none"}
TAG_DEPTH = {"data": 1, "moe.router": 2, "moe.balance": 2, "moe.extra": 3}
NAME_RULE = "use 1 to 64 of A-Z a-z 0-9 . _ - and start with a letter or digit"


def problem(error: ErrorDetails, tree: Node) -> Problem:
    """One error of pydantic as a problem of the tree that was validated."""
    path, choice = _split(error["loc"])
    kind, name = error["type"], f"'{shown(path)}'"
    node = tree.at(path)
    if kind == "extra_forbidden":
        remedy = keys.meant(_section(path), path[-1], choice)
        if path in SWEEP_FILE:
            remedy = f"sweep files are for: moe-lab sweep {_key(tree, path).source}"
        return Problem(f"unknown config key '{shown(path)}'", _key(tree, path), remedy)
    if kind == "missing":
        return Problem(f"{name} is required", _key(tree, path[:-1]), _supply(path[-1], tree))
    assert node is not None, error
    if kind.startswith("union_tag"):
        return _choice_problem(name, path, node)
    if kind in RANGE_TYPES:
        allowed = _range(_field(path, choice))
        verb = "is not allowed; the range is" if kind == "finite_number" else "is outside"
        return Problem(
            f"{name}: {_clip(node.text)} {verb} {allowed}", node.place, BEYOND.get(".".join(path))
        )
    if kind == "string_pattern_mismatch":
        return Problem(f"{name}: {_quoted(node.value)} is not allowed", node.place, NAME_RULE)
    return _type_problem(error, name, node, _field(path, choice))


def shown(path: tuple[str, ...]) -> str:
    """A path as it is written in messages: `moe.extra[0].weight`."""
    text = ".".join(_clip(step) for step in path)
    return re.sub(r"^moe\.extra\.(\d+)", r"moe.extra[\1]", text)


def _split(loc: tuple[str | int, ...]) -> tuple[tuple[str, ...], str]:
    """The path of keys, and the choice that pydantic names inside it."""
    steps = tuple(str(step) for step in loc)
    for section, depth in TAG_DEPTH.items():
        if ".".join(steps[: section.count(".") + 1]) == section and len(steps) > depth:
            return steps[:depth] + steps[depth + 1 :], steps[depth]
    return steps, ""


def _field(path: tuple[str, ...], choice: str) -> FieldInfo:
    return keys.settings(_section(path), choice).model_fields[path[-1]]


def _section(path: tuple[str, ...]) -> str:
    return ".".join(step for step in path[:-1] if not step.isdigit())


def _key(tree: Node, path: tuple[str, ...]) -> Place:
    node = tree.at(path)
    assert node is not None, path
    return node.key


def _supply(key: str, tree: Node) -> str:
    if key == "path":
        file = tree.place.source
        return f"moe-lab train {file} data.path=FILE" if file else "add data.path=FILE"
    return f"write '{key}: …' here"


def _range(field: FieldInfo) -> str:
    """`(0, 10]`: a round bracket leaves the bound itself out."""
    low, high = "(-inf", "inf)"
    for bound in field.metadata:
        match bound:
            case Ge(ge=value):
                low = f"[{_bound(value)}"
            case Gt(gt=value):
                low = f"({_bound(value)}"
            case Le(le=value):
                high = f"{_bound(value)}]"
    return f"{low}, {high}"


def _bound(value: Any) -> str:
    return str(int(value) if value == int(value) else value)


def _choice_problem(name: str, path: tuple[str, ...], node: Node) -> Problem:
    """No such source or method, or none named at all."""
    section = ".".join(path[:2])
    known = list(keys.choices()[section])
    word, key = ("source", "source") if section == "data" else ("method", "name")
    if not isinstance(node.value, dict):
        return Problem(f"{name}: expected a mapping, got {_value(node)}", node.place)
    chosen = node.children.get(key)
    if chosen is None:
        return Problem(f"{name}: its '{key}' is missing", node.key, f"one of {', '.join(known)}")
    message = f"{name}: there is no {word} {_quoted(chosen.text)}"
    remedy = _did_you_mean(chosen.text, known) or f"one of {', '.join(known)}"
    return Problem(message, chosen.place, remedy)


def _did_you_mean(word: str, known: Sequence[str]) -> str | None:
    near = keys.similar(word, known)
    return f"did you mean '{near}'?" if near else None


def _type_problem(error: ErrorDetails, name: str, node: Node, field: FieldInfo) -> Problem:
    kind = error["type"]
    if kind == "literal_error":
        expected = error["ctx"]["expected"].replace("'", "")
        remedy = _did_you_mean(node.text, re.split(r", | or ", expected))
    else:
        nullable = type(None) in get_args(field.annotation)
        allowed = f" in {_range(field)}" if kind in ("int_type", "float_type") else ""
        expected = EXPECTED[kind] + allowed + (" or null" if nullable else "")
        remedy = _remedy(kind, node, field)
    return Problem(f"{name}: expected {expected}, got {_value(node)}", node.place, remedy)


def _remedy(kind: str, node: Node, field: FieldInfo) -> str | None:
    if kind == "model_type":
        section: Any = field.annotation
        return f"write its keys, such as {next(iter(section.model_fields))}: …"
    if node.value is None:
        return "give it a value, or remove the key"
    if kind == "bool_type":
        meant = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false"}
        word = node.text.lower()
        boolean = meant.get(word, word if word in ("true", "false") else None)
        return f"write {boolean}" if boolean else None
    return _number_remedy(node) if kind in ("int_type", "float_type") else None


def _number_remedy(node: Node) -> str | None:
    """What was meant by `"1e-3"`, `0,001`, `1 000`, `1_000`, `010` and, for an integer, `1e3`."""
    if isinstance(node.value, float) and node.value.is_integer() and node.value < 1e15:
        return f"write {int(node.value)}"
    if not isinstance(node.value, str):
        return None
    text = node.value
    if type(scalar(text)) in (int, float):
        return "remove the quotes"
    changes = [(",", "."), (" ", ""), ("_", "")]
    cleaned = [*(text.replace(old, new) for old, new in changes), text.lstrip("0")]
    if re.fullmatch("0x[0-9a-fA-F]{1,15}|0o[0-7]{1,15}", text):
        cleaned = [str(int(text, 0))]
    return next((f"write {c}" for c in cleaned if type(scalar(c)) in (int, float)), None)


def _value(node: Node) -> str:
    match node.value:
        case None:
            return node.text or "nothing"
        case bool():
            return f"the boolean {node.text}"
        case int():
            return f"the integer {_clip(node.text)}"
        case float():
            return f"the number {_clip(node.text)}"
        case str():
            return f"the string {_quoted(node.value)}"
        case dict():
            return "a mapping"
    return "a list"


def _quoted(text: str) -> str:
    return json.dumps(_clip(text), ensure_ascii=False)


def _clip(text: str) -> str:
    line = re.sub(r"\s", " ", text)
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}… ({len(line)} characters)"
