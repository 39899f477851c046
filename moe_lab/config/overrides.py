"""`key=value` on the command line: a leaf that is unique, or a full path, and a YAML value."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

from moe_lab.config import keys
from moe_lab.config.files import merge
from moe_lab.config.forms import normalise, spelled_out
from moe_lab.config.schema import Moe
from moe_lab.config.source import Node, parse
from moe_lab.config.syntax import unprintable
from moe_lab.errors import COMMAND_LINE, Place, Problem

PATHS = ("data.path", "data.tokenizer")


def values(overrides: Sequence[str], problems: list[Problem]) -> dict[str, Node]:
    """The value of each override by its dotted path; what is wrong with them is added to `problems`."""
    nodes: dict[str, Node] = {}
    for text in overrides:
        place = Place(COMMAND_LINE, text=text)
        key, equals, value = text.partition("=")
        if not equals or not value.strip():
            remedy = f"write {key or 'key'}=value" + (", or null for none" if equals else "")
            problems.append(Problem(f"'{text}' has no value", place, remedy))
        elif (path := named(key, place, problems)) in nodes:
            problems.append(twice(path, place))
        elif path and (node := read_value(path, value, place, problems)):
            nodes[path] = node
    return nodes


def apply(tree: Node, given: Mapping[str, Node]) -> Node:
    """The tree with values by dotted path on top, which are in their normal form."""
    root = replace(tree, value={})
    for path in sorted(given, key=lambda path: path.count(".")):  # a method before its options
        root = _put(root, path.split("."), given[path])
    return merge(tree, _with_method_names(root, tree))


def named(key: str, place: Place, problems: list[Problem]) -> str | None:
    """The one path that a key means."""
    paths = keys.named(key)
    if len(paths) == 1:
        return paths[0]
    remedy = f"write {' or '.join(paths)}"
    ambiguous = Problem(f"'{key}' is ambiguous", place, remedy)
    problems.append(ambiguous if paths else _unknown(key, place))
    return None


def twice(path: str, place: Place) -> Problem:
    """A key that was given before."""
    return Problem(f"'{path}' is given twice", place, "keep one of the two")


def _unknown(key: str, place: Place) -> Problem:
    if keys.is_section(key):
        inner = next(path for path in keys.leaves() if path.startswith(f"{key}."))
        return Problem(f"'{key}' is a section", place, f"set its keys, such as {inner}=…")
    section, _, leaf = key.rpartition(".")
    remedy = keys.meant(section if section in keys.sections() else "", leaf)
    return Problem(f"unknown config key '{key}'", place, remedy)


def read_value(path: str, text: str, place: Place, problems: list[Problem]) -> Node | None:
    """The value of a text, in its normal form: paths as seen from the current directory."""
    if _taken_as_it_is(path, text) and not unprintable(text):
        return normal(path, Node(text, place, place, text), Path.cwd())
    node = parse(text, lambda start, end: place, problems)
    if node and isinstance(node.value, str) and "," in node.value:
        remedy = f"this is a sweep: moe-lab sweep {quote(place.text)}"
        if path.endswith("moe_layers"):
            remedy = f"write {path}=[{text}]"
        problems.append(Problem(f"'{path}' is given several values", place, remedy))
        return None
    return normal(path, node, Path.cwd()) if node else None


def normal(path: str, node: Node, folder: Path) -> Node:
    """The value of a path in the one form that is validated; of a file, as seen from its folder."""
    steps = path.split(".")
    found = normalise(_put(replace(node, value={}), steps, node), folder).at(steps)
    assert found is not None, path
    return found


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
