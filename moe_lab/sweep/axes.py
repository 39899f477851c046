"""What a sweep varies: `alpha`, `alpha=0,0.01`, `alpha=log:1e-4:1:9`, `n_experts:top_k=8:1,16:2`.

A single value, as in `steps=200`, is the same for all runs.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from moe_lab.config import keys, overrides
from moe_lab.config.source import Node, located
from moe_lab.config.source import parse as parse_yaml
from moe_lab.errors import COMMAND_LINE, Place, Problem
from moe_lab.sweep.asked import Asked, Axis, axis, distinct
from moe_lab.sweep.spacing import is_spacing, spaced

QUOTED = r"""(?:"(?:\\.|[^"\\])*"|'(?:''|[^'])*')"""
TOKEN = re.compile(rf"(?<![^\s,:\[{{(]){QUOTED}|.", re.DOTALL)  # a quote opens where a value begins


def parse(texts: Sequence[str], problems: list[Problem]) -> Asked:
    """The axes and settings of the command line; what is wrong with them is added to `problems`."""
    return Asked(distinct(filter(None, (_axis(text, problems) for text in texts)), problems))


def _axis(text: str, problems: list[Problem]) -> Axis | None:
    place, before = Place(COMMAND_LINE, text=text), len(problems)
    named, equals, written = text.partition("=")
    pieces = [piece.strip() for piece in split(written, ",")]
    swept = not equals or len(pieces) > 1 or is_spacing(pieces[0])
    words = named.split(":")
    paths = [path for word in words if (path := key(word, place, problems, swept=swept))]
    rows: list[tuple[Node, ...]] = []
    if len(problems) > before:
        return None
    if equals and "" in pieces:
        problems.append(_absent(text, named, pieces, place))
    elif not equals:
        rows = _by_default(words, paths, place, problems)
    elif len(paths) == 1:
        rows = [(node,) for piece in pieces for node in _nodes(paths[0], piece, place, problems)]
    else:
        rows = [_tuple(paths, named, piece, place, problems) for piece in pieces]
    return None if len(problems) > before else axis(paths, rows, place, problems)


def key(word: str, place: Place, problems: list[Problem], *, swept: bool) -> str | None:
    """The path that a key of a sweep means."""
    if swept and not keys.named(word) and not keys.is_section(word):
        message = f"cannot sweep '{word}': no such config key"
        problems.append(Problem(message, place, _meant(word) + with_grids()))
        return None
    path = overrides.named(word, place, problems)
    if path == "seed":
        message = "a sweep has several seeds, the same at every point"
        problems.append(
            Problem(message, place, "use --seeds 0,1,2, or seeds: [0, 1, 2] in a sweep file")
        )
    elif path == "name" and swept:
        message = "'name' cannot be swept: runs are named by their point and seed"
        problems.append(Problem(message, place, "a single name is that of the sweep: name=…"))
    return path


def default_grid(path: str, word: str, place: Place, problems: list[Problem]) -> list[Node]:
    """The values of a key that is named alone."""
    if path not in keys.grids():
        remedy = f"write its values, such as {word}=A,B; {with_grids()}"
        problems.append(Problem(f"'{path}' has no default grid", place, remedy))
    return [located(value, place) for value in keys.grids().get(path, [])]


def split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that no bracket and no quote encloses."""
    parts, depth = [""], 0
    for token in TOKEN.findall(text):
        depth = max(0, depth + (token in "[{(") - (token in "]})"))
        if token == separator and not depth:
            parts.append("")
        else:
            parts[-1] += token
    return parts


def _by_default(
    words: Sequence[str], paths: Sequence[str], place: Place, problems: list[Problem]
) -> list[tuple[Node, ...]]:
    if len(paths) > 1:
        message = f"'{place.text}' has no values"
        remedy = f"write them in pairs, such as {place.text}={':'.join('AB')},{':'.join('CD')}"
        problems.append(Problem(message, place, remedy))
        return []
    return [(node,) for node in default_grid(paths[0], words[0], place, problems)]


def _nodes(path: str, text: str, place: Place, problems: list[Problem]) -> list[Node]:
    if is_spacing(text):
        return spaced(text, place, problems)
    node = _node(path, text, place, problems)
    return [node] if node else []


def _node(path: str, text: str, place: Place, problems: list[Problem]) -> Node | None:
    """As in an override, but that a path in quotes may have the separators of values."""
    if not re.fullmatch(QUOTED, text, re.DOTALL):
        return overrides.read_value(path, text, place, problems)
    node = parse_yaml(text, lambda start, end: place, problems)
    return overrides.normal(path, node, Path.cwd()) if node else None


def _tuple(
    paths: Sequence[str], named: str, text: str, place: Place, problems: list[Problem]
) -> tuple[Node, ...]:
    parts = [part.strip() for part in split(text, ":")]
    if len(parts) != len(paths) or "" in parts:
        given = len([part for part in parts if part])
        message = f"'{text}': expected {len(paths)} values, for {named}, got {given}"
        problems.append(Problem(message, place, "write ':' between them"))
        return ()
    found = [_node(path, part, place, problems) for path, part in zip(paths, parts, strict=True)]
    return tuple(node for node in found if node)


def _absent(text: str, named: str, pieces: Sequence[str], place: Place) -> Problem:
    if len(pieces) == 1:
        remedy = f"write {named}=value, or null for none"
        return Problem(f"'{text}' has no value", place, remedy)
    return Problem(f"'{named}': a value is missing beside a comma", place, "null is written out")


def _meant(word: str) -> str:
    leaves = [path.rpartition(".")[2] for path in keys.leaves()]
    near = keys.similar(word.rpartition(".")[2], leaves)
    return f"did you mean '{near}'? " if near else ""


def with_grids() -> str:
    """The keys that can be swept without a word more."""
    names = sorted(path.rpartition(".")[2] for path in keys.grids())
    return f"axes with a default grid: {', '.join(names)}"
