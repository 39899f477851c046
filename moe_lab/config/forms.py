"""The values that may be written in more than one form, brought into one."""

import os.path
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from moe_lab.config.source import Node


def normalise(tree: Node, folder: Path) -> Node:
    """Names as text (`name: 12`), methods spelled out (`router: top_k`), the data's paths absolute."""
    tree = _edit(tree, ("name",), _as_text)
    for key in ("path", "tokenizer"):
        tree = _edit(tree, ("data", key), lambda node: _absolutes(node, folder))
    for method in ("router", "balance"):
        tree = _edit(tree, ("moe", method), spelled_out)
    return tree


def _edit(node: Node, path: Sequence[str], change: Callable[[Node], Node]) -> Node:
    if not path:
        return change(node)
    child = node.children.get(path[0])
    if child is None or not isinstance(node.value, dict):
        return node
    return replace(node, value={**node.value, path[0]: _edit(child, path[1:], change)})


def _as_text(node: Node) -> Node:
    scalar = isinstance(node.value, bool | int | float)
    return replace(node, value=node.text) if scalar else node


def _absolutes(node: Node, folder: Path) -> Node:
    """One path, or each of a mapping."""
    if not isinstance(node.value, dict):
        return absolute(_as_text(node), folder)
    return replace(node, value={k: _absolutes(item, folder) for k, item in node.value.items()})


def absolute(node: Node, folder: Path) -> Node:
    """A path as seen from `folder`; `~` is the home directory."""
    if not isinstance(node.value, str) or not node.value:
        return node
    path = os.path.expanduser(node.value)  # noqa: PTH111 - leaves an unknown user's ~ as it is
    return replace(node, value=os.path.abspath(folder / path))  # noqa: PTH100 - keeps links


def spelled_out(node: Node) -> Node:
    """`top_k` as `{name: top_k}`."""
    return replace(node, value={"name": node}) if isinstance(node.value, str) else node
