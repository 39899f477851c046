"""`key=value` on the command line: a leaf that is unique, or a full path, and a YAML value."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from moe_lab.config import keys
from moe_lab.config.files import merge
from moe_lab.config.forms import normalise, spelled_out
from moe_lab.config.schema import Moe
from moe_lab.config.source import Node, parse
from moe_lab.config.syntax import unprintable
from moe_lab.errors import COMMAND_LINE, Place, Problem

PATHS = ("data.path", "data.tokenizer")


def apply(tree: Node, overrides: Sequence[str], problems: list[Problem]) -> Node:
    """The tree with the overrides on top; what is wrong with them is added to `problems`."""
    given = _given(overrides, problems)
    root = replace(tree, value={})
    for path in sorted(given, key=lambda path: path.count(".")):  # a method before its options
        root = _put(root, path.split("."), given[path])
    root = normalise(root, Path.cwd())
    return merge(tree, _with_method_names(root, tree))


def _given(overrides: Sequence[str], problems: list[Problem]) -> dict[str, Node]:
    given: dict[str, Node] = {}
    for text in overrides:
        place = Place(COMMAND_LINE, text=text)
        path = _path(text, place, problems)
        if path in given:
            problems.append(Problem(f"'{path}' is given twice", place, "keep one of the two"))
        elif path and (node := _value(path, text.partition("=")[2], place, problems)):
            given[path] = node
    return given


def _path(text: str, place: Place, problems: list[Problem]) -> str | None:
    key, equals, value = text.partition("=")
    paths = keys.named(key)
    if not equals or not value.strip():
        remedy = f"write {key or 'key'}=value" + (", or null for none" if equals else "")
        problem = Problem(f"'{text}' has no value", place, remedy)
    elif len(paths) > 1:
        problem = Problem(f"'{key}' is ambiguous", place, f"write {' or '.join(paths)}")
    elif not paths:
        problem = _unknown(key, place)
    else:
        return paths[0]
    problems.append(problem)
    return None


def _unknown(key: str, place: Place) -> Problem:
    if keys.is_section(key):
        inner = next(path for path in keys.leaves() if path.startswith(f"{key}."))
        return Problem(f"'{key}' is a section", place, f"set its keys, such as {inner}=…")
    section, _, leaf = key.rpartition(".")
    remedy = keys.meant(section if section in keys.sections() else "", leaf)
    return Problem(f"unknown config key '{key}'", place, remedy)


def _value(path: str, text: str, place: Place, problems: list[Problem]) -> Node | None:
    if _taken_as_it_is(path, text) and not unprintable(text):
        return Node(text, place, place, text)
    node = parse(text, lambda start, end: place, problems)
    if node and isinstance(node.value, str) and "," in node.value:
        remedy = f"train takes one value, such as {path}={text.partition(',')[0]}"
        if path.endswith("moe_layers"):
            remedy = f"write {path}=[{text}]"
        problems.append(Problem(f"'{path}' is given several values", place, remedy))
        return None
    return node


def _taken_as_it_is(path: str, text: str) -> bool:
    """Names and paths are not read as YAML, but for mappings of labels to paths and for null."""
    return path == "name" or (path in PATHS and text != "null" and not text.startswith("{"))


def _put(node: Node, path: Sequence[str], value: Node) -> Node:
    """The mapping with a value at a path; sections on the way are made."""
    if not path:
        return value
    section = spelled_out(node)
    child = section.children.get(path[0], replace(value, value={}))
    return replace(section, value={**section.children, path[0]: _put(child, path[1:], value)})


def _with_method_names(root: Node, tree: Node) -> Node:
    """Options given without their method belong to the method of the tree, or the default."""
    for method in ("router", "balance"):
        chosen = root.at(("moe", method))
        if chosen is None or "name" in chosen.children or not isinstance(chosen.value, dict):
            continue
        below = tree.at(("moe", method)) or _default(method)
        whole = {**below.children, **chosen.children}
        root = _put(root, ("moe", method), replace(chosen, value=whole))
    return root


def _default(method: str) -> Node:
    name = Moe.model_fields[method].default
    place = Place("default")
    return spelled_out(Node(name, place, place, name))
