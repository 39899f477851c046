"""A config file and the parents that it extends, as one tree of located values."""

import codecs
import errno
import os.path
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO

import yaml

from moe_lab.config import keys
from moe_lab.config.forms import normalise
from moe_lab.config.source import Node, parse
from moe_lab.config.syntax import Locate
from moe_lab.errors import ConfigError, Place, Problem

MAX_BYTES = 1_000_000
MAX_LINE = 5_000  # characters: the longest path of a file, and room
SHOWN_WIDTH = 120  # characters that are underlined, at most
MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a ZIP archive, as PyTorch's checkpoints are",
    b"%PDF": "a PDF document",
}
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DATA_OF_EVERY_SOURCE = ("seq_len",)


@dataclass(frozen=True)
class ConfigFile:
    """What was read from one file and its parents; the tree is None where that failed."""

    raw: bytes  # of the file itself
    tree: Node | None
    sources: tuple[str, ...]  # names of the files, the child first


def read(path: Path, problems: list[Problem], named: Place | None = None) -> ConfigFile:
    """A config and the chain of files that it extends; what is wrong is added to `problems`.

    named: where that was, if in another file.
    """
    raw, tree = _layer(path, problems, named)
    layers, sources, seen = [tree], [str(path)], set[str]()
    while tree and (link := tree.children.get("extends")):
        seen.add(os.path.realpath(path))
        path = path.parent / str(link.text)
        if refusal := _link_refusal(link, path, seen):
            problems.append(refusal)
            tree = None
        else:
            _, tree = _layer(path, problems, link.place)
        layers.append(tree)
        sources.append(str(path))
    return ConfigFile(raw, _merged(layers), tuple(sources))


def _link_refusal(link: Node, path: Path, seen: Iterable[str]) -> Problem | None:
    if not isinstance(link.value, str) or "\0" in link.value:
        return Problem("'extends': expected the name of one file", link.place)
    if os.path.realpath(path) in seen:
        return Problem("'extends' goes in a circle", link.place, f"'{path}' was extended before")
    return None


def _merged(layers: Iterable[Node | None]) -> Node | None:
    whole: Node | None = None
    for layer in reversed(list(layers)):
        if layer is None:
            return None
        entries = {key: node for key, node in layer.children.items() if key != "extends"}
        layer = replace(layer, value=entries)
        whole = merge(whole, layer) if whole else layer
    return whole


def merge(base: Node, top: Node) -> Node:
    """Sections key by key; what stands inside a section replaces as a whole.

    With another data source, the data keys of the old one go.
    """
    merged = dict(base.children)
    for name, section in top.children.items():
        below = merged.get(name)
        if below and isinstance(below.value, dict) and isinstance(section.value, dict):
            kept = _shared(below, section) if name == "data" else below.children
            shown = section if section.key.line else below  # an override has no place in a file
            section = replace(shown, value={**kept, **section.children})
        merged[name] = section
    return replace(top, value=merged)


def _shared(below: Node, data: Node) -> dict[str, Node]:
    old, new = (node.children.get("source") for node in (below, data))
    before = old.value if old else "domains"
    if new is None or new.value == before:
        return below.children
    return {key: below.children[key] for key in DATA_OF_EVERY_SOURCE if key in below.children}


def _layer(
    path: Path, problems: list[Problem], link: Place | None = None
) -> tuple[bytes, Node | None]:
    """One file: its bytes, and its mapping if it holds one."""
    before = len(problems)
    raw, tree = document(path, problems, link)
    if len(problems) == before and (refusal := _top_refusal(tree, str(path))):
        problems.append(refusal)
    return raw, normalise(tree, path.parent) if tree and isinstance(tree.value, dict) else None


def document(
    path: Path, problems: list[Problem], link: Place | None = None
) -> tuple[bytes, Node | None]:
    """The bytes of a YAML file and the value that it holds; what is wrong is added to `problems`."""
    try:
        raw = _read_bytes(path, link)
        text = _decode(raw, str(path))
    except ConfigError as error:
        problems.extend(error.problems)
        return b"", None
    return raw, parse(text, _locate(str(path), text), problems)


def _top_refusal(tree: Node | None, source: str) -> Problem | None:
    if tree is None:
        remedy = "every key has a default; write at least one, such as 'seed: 0'"
        return Problem("the file is empty", Place(source), remedy)
    if isinstance(tree.value, dict):
        return None
    kind = "a list" if isinstance(tree.value, tuple) else "a single value"
    return Problem(f"the top level is {kind}; expected keys such as 'seed: 0'", tree.place)


def _locate(source: str, text: str) -> Locate:
    lines = [*text.replace("\t", " ").split("\n"), ""]

    def locate(start: yaml.Mark, end: yaml.Mark) -> Place:
        line = lines[start.line]
        width = (end.column if end.line == start.line else len(line)) - start.column
        if width > SHOWN_WIDTH:  # else the line itself: a copy per value would fill the memory
            line, width = line[: start.column + SHOWN_WIDTH], SHOWN_WIDTH
        return Place(source, start.line + 1, start.column + 1, line, max(1, width))

    return locate


def _read_bytes(path: Path, link: Place | None) -> bytes:
    try:
        with opened(path) as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        message = f"config not found: {path}"
        setting = f"a setting is written {path}=VALUE" if keys.named(str(path)) else None
        raise ConfigError(message, help=setting or neighbour(path), place=link) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        remedy = "name a file in it" if isinstance(error, IsADirectoryError) else None
        message = f"cannot read the config {path}: {reason}"
        raise ConfigError(message, help=remedy, place=link) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes", help="is it a config?")
    return raw


def opened(path: Path) -> BinaryIO:
    """A file to be read. Raises OSError, also for a pipe or a device: they may never come to an end."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file")
    return path.open("rb")


def neighbour(path: Path) -> str | None:
    """`did you mean` for a missing file, if one beside it has a similar name."""
    try:
        beside = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent}"
    close = get_close_matches(path.name, beside, 1, cutoff=0.75)
    return f"did you mean '{path.parent / close[0]}'?" if close else None


def kind(raw: bytes) -> str | None:
    """What a file is that begins with these bytes, if not text."""
    return next((name for magic, name in MAGIC.items() if raw.startswith(magic)), None)


def _decode(raw: bytes, source: str) -> str:
    if found := kind(raw):
        raise ConfigError(f"{source} is {found}, not a config", help="a config is a YAML file")
    if raw.startswith(UTF_16):
        raise ConfigError(f"{source} is UTF-16", help="save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8",
            place=_byte_place(raw, error.start, source),
            help="save the file as UTF-8",
        ) from None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            place = Place(source, number, 1, line[:SHOWN_WIDTH], SHOWN_WIDTH)
            raise ConfigError(f"a line of more than {MAX_LINE:,} characters", place=place)
    return text


def _byte_place(raw: bytes, index: int, source: str) -> Place:
    start = raw.rfind(b"\n", 0, index) + 1
    before = raw[start:index].decode("utf-8", "replace")
    line = raw[start:].split(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
    return Place(source, raw.count(b"\n", 0, index) + 1, len(before) + 1, line[:SHOWN_WIDTH])
