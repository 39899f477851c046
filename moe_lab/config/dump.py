"""Settings as YAML, each with its origin."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from moe_lab.config.schema import Config
from moe_lab.config.source import Node, scalar

PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")


def origins(config: Config, tree: Node) -> dict[str, str]:
    """Of every leaf: `default`, the file and line, or `command line`; a list is one leaf."""
    return {".".join(steps): _origin(tree.at(steps)) for steps in _leaves(config.model_dump())}


def _leaves(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys that lead to each value; a label of a file may have dots."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _origin(node: Node | None) -> str:
    if node is None:
        return "default"
    source = "".join(letter if letter.isprintable() else "?" for letter in node.key.source)
    return f"{source}:{node.key.line}" if node.key.line else source


def to_yaml(config: Config, origins: Mapping[str, str]) -> str:
    """Every value, with its origin as a comment; reads back to an equal Config."""
    return "\n".join(_lines(config.model_dump(), origins)) + "\n"


def _lines(
    values: Mapping[str, Any], origins: Mapping[str, str], prefix: str = ""
) -> Iterator[str]:
    indent = "  " * prefix.count(".")
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, origins, f"{prefix}{key}.")
        else:
            yield f"{indent}{key}: {flow(value)}  # {origins[prefix + key]}"


def flow(value: Any) -> str:
    """One value on one line. repr of a float reads back exactly."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            plain = PLAIN.fullmatch(value) and scalar(value) == value
            return value if plain else json.dumps(value, ensure_ascii=False)
        case dict():
            return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
        case tuple():
            return "[" + ", ".join(flow(item) for item in value) + "]"
    return repr(value)
