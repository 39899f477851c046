"""YAML text to values that know where they were written.

YAML 1.2 scalars (`1e-3` is a number, `no` and `010` are strings), one document, plain keys; no
duplicates, aliases or tags.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from moe_lab.config.syntax import Locate, compose, unprintable
from moe_lab.errors import Place, Problem

MAX_DIGITS = 100  # Python itself refuses to read an integer beyond 4,300
WORDS: Mapping[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
MERGE = "extends: FILE takes what is shared from another config"
NOT_FINITE = re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE)


@dataclass(frozen=True)
class Node:
    """A value, where it stands, and where its key stands."""

    value: Any  # bool | int | float | str | None | tuple[Node, ...] | dict[str, Node]
    place: Place
    key: Place
    text: str = ""  # of a scalar, as it was written

    @property
    def children(self) -> "dict[str, Node]":
        """The entries of a mapping, or of a list by their index; none for a scalar."""
        if isinstance(self.value, tuple):
            return {str(index): item for index, item in enumerate(self.value)}
        return self.value if isinstance(self.value, dict) else {}

    def at(self, path: Sequence[str]) -> "Node | None":
        """The node under a path of keys and list indices."""
        node: Node | None = self
        for step in path:
            node = node.children.get(step) if node else None
        return node

    def plain(self) -> Any:
        """The value without its places; lists as tuples."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return tuple(node.plain() for node in self.value)
        return self.value


def scalar(text: str) -> bool | int | float | str | None:
    """The YAML 1.2 value of an unquoted scalar; what is no number and no such word is a string."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text)
    if FLOAT.fullmatch(text):  # also an integer of too many digits: it overflows to infinity
        return float(text)
    if NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def located(value: Any, place: Place) -> Node:
    """A value as JSON has it; all of it stands at one place."""
    if isinstance(value, Mapping):
        return Node({key: located(item, place) for key, item in value.items()}, place, place)
    if isinstance(value, list | tuple):
        return Node(tuple(located(item, place) for item in value), place, place)
    return Node(value, place, place, value if isinstance(value, str) else json.dumps(value))


def parse(text: str, locate: Locate, problems: list[Problem]) -> Node | None:
    """The value that the text holds; what is wrong with the text is added to `problems`."""
    root = compose(text, locate, problems)
    return _Walk(locate, problems).node(root) if root else None


@dataclass
class _Walk:
    """From yaml's nodes to ours."""

    locate: Locate
    problems: list[Problem] = field(default_factory=list)

    def node(self, node: yaml.Node, key: Place | None = None) -> Node:
        place = self.locate(node.start_mark, node.end_mark)
        key = key or place
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node), place, key)
        if isinstance(node, yaml.SequenceNode):
            return Node(tuple(self.node(item) for item in node.value), place, key)
        self._refuse_unprintable(node.value, place)
        assert isinstance(node, yaml.ScalarNode)
        value = scalar(node.value) if node.style is None else node.value
        # an absent value has no width of its own: it is shown at its key
        return Node(value, place if node.value or node.style else key, key, node.value)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key_node, value_node in node.value:
            place = self.locate(key_node.start_mark, key_node.end_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem("keys must be plain names", place, "such as seed: 0"))
                continue
            key, value = key_node.value, self.node(value_node, place)
            self._refuse_unprintable(key, place)
            if key == "<<":
                self.problems.append(Problem("merge keys are not allowed", place, MERGE))
            elif key in entries:
                self.problems.append(_twice(key, place, entries[key].key))
            else:
                entries[key] = value
        return entries

    def _refuse_unprintable(self, text: str, place: Place) -> None:
        if found := unprintable(text):
            character = f"U+{ord(found.group()):04X}"
            self.problems.append(
                Problem(f"the control character {character} is not allowed in a value", place)
            )


def _twice(key: str, place: Place, first: Place) -> Problem:
    where = f"first on line {first.line}" if first.line else "twice in one value"
    return Problem(f"'{key}' is given twice; {where}", place, "keep one of the two")
