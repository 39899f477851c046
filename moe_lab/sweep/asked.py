"""What a sweep was asked to vary, before it is held against a config."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moe_lab.config import overrides
from moe_lab.config.dump import flow
from moe_lab.config.source import Node
from moe_lab.errors import Place, Problem


@dataclass(frozen=True)
class Axis:
    """Keys that are varied together, and the values that they take together; one row is one point."""

    keys: tuple[str, ...]  # dotted paths
    rows: tuple[tuple[Node, ...], ...]  # of each point, a value for each key
    place: Place


@dataclass(frozen=True)
class Exclusion:
    """Points that are left out: those that have one of the values of every key."""

    values: Mapping[str, tuple[Node, ...]]
    place: Place

    def matches(self, point: Mapping[str, Node]) -> bool:
        """Whether a point is left out; a method that is named without options stands for all of it."""
        return all(
            any(_within(value.plain(), point[key].plain()) for value in values)
            for key, values in self.values.items()
        )


@dataclass(frozen=True)
class Asked:
    """What was asked for, on the command line or in a file, not yet held against a config."""

    axes: tuple[Axis, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    seeds: Node | None = None
    base: Node | None = None  # the path of a config

    @property
    def swept(self) -> tuple[Axis, ...]:
        """The axes of the grid, in order."""
        return tuple(axis for axis in self.axes if len(axis.rows) > 1)

    @property
    def fixed(self) -> dict[str, Node]:
        """Settings that all runs share, by dotted path."""
        single = [axis for axis in self.axes if len(axis.rows) == 1]
        return {
            key: node for axis in single for key, node in zip(axis.keys, *axis.rows, strict=True)
        }


def distinct(axes: Iterable[Axis], problems: list[Problem]) -> tuple[Axis, ...]:
    """Those whose keys were not given before."""
    taken: set[str] = set()
    kept = []
    for axis in axes:
        again = [k for i, k in enumerate(axis.keys) if k in taken or k in axis.keys[:i]]
        problems += (overrides.twice(key, axis.place) for key in again)
        taken |= set(axis.keys)
        kept += [] if again else [axis]
    return tuple(kept)


def axis(
    paths: Sequence[str], rows: Sequence[tuple[Node, ...]], place: Place, problems: list[Problem]
) -> Axis:
    """An axis of values that must be distinct."""
    seen: dict[Hashable, tuple[Node, ...]] = {}
    for row in rows:
        first = seen.setdefault(tuple(map(_identity, row)), row)
        if first is not row:
            message = f"'{':'.join(paths)}': {_row(row)} repeats {_row(first)}"
            problems.append(Problem(message, row[0].place, "keep one of the two"))
    return Axis(tuple(paths), tuple(rows), place)


def shown(node: Node) -> str:
    """A value in a message, as short as it can be written."""
    value = node.plain()
    if isinstance(value, dict) and list(value) == ["name"]:
        return str(value["name"])
    return flow(value) if isinstance(value, dict | tuple) else node.text or "null"


def _row(row: Iterable[Node]) -> str:
    return ":".join(map(shown, row))


def _identity(node: Node) -> Hashable:
    """Equal for equal values: 1 and 1.0 are, 1 and true are not."""
    if isinstance(node.value, dict):
        return frozenset((key, _identity(item)) for key, item in node.value.items())
    if isinstance(node.value, tuple):
        return tuple(map(_identity, node.value))
    return isinstance(node.value, bool), node.value


def _within(pattern: Any, value: Any) -> bool:
    if isinstance(pattern, dict) and isinstance(value, dict):
        return all(key in value and value[key] == item for key, item in pattern.items())
    return bool(pattern == value) and isinstance(pattern, bool) == isinstance(value, bool)
