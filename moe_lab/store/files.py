"""Reading the files of a run, which somebody else may have written: plain files only, JSON in one form."""

import errno
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from moe_lab.errors import ArtefactError
from moe_lab.store import layout, limits
from moe_lab.store.limits import Limit

DIGITS = 20  # of a whole number in JSON, with its sign: those of 64 bits
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # nonblocking: for a FIFO
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def read_regular(path: Path, limit: Limit, root: Path | None = None) -> bytes:
    """A plain file's bytes. Raises ArtefactError with the reason; a link or device is one."""
    with reading(path, limit, root) as file:
        return file.read()


@contextmanager
def reading(path: Path, limit: Limit, root: Path | None = None) -> Iterator[BinaryIO]:
    """A plain file opened to be read. Raises ArtefactError as `read_regular` does.

    The folder `root`, by default the file's own, may be reached by a link; what lies below it may not.
    """
    try:
        with _opened(path, root or path.parent) as descriptor:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ArtefactError(f"{path} is not a plain file")
            limit.check(found.st_size, path)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                yield file
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise ArtefactError(f"{path} is not a plain file") from error
        raise ArtefactError(f"cannot read {path}: {error.strerror}") from error


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted. Raises OSError if it is none, ArtefactError if it holds too much."""
    with os.scandir(folder) as found:
        names = [entry.name for entry in islice(found, limits.ENTRIES.most + 1)]
    limits.ENTRIES.check(len(names), folder)
    return [folder / name for name in sorted(names)]


def inside(folder: Path) -> list[Path]:
    """What a folder of a run holds, sorted; nothing if there is no such folder, or if it is a link."""
    return entries(folder) if folder.is_dir() and not folder.is_symlink() else []


def read_json(path: Path, limit: Limit = limits.RECORD, root: Path | None = None) -> dict[str, Any]:
    """A JSON object of a run. Raises ArtefactError with path and reason."""
    return parse_json(read_regular(path, limit, root), path)


def parse_json(data: bytes, path: Path) -> dict[str, Any]:
    """A JSON object of this schema; infinity, NaN and repeated keys, which Python would take, are refused."""
    try:
        value = json.loads(
            data.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} is corrupt: {error}") from error
    if not isinstance(value, dict):
        raise ArtefactError(f"{path} is corrupt: not a JSON object")
    _check_depth(value, path)
    return value


def check_schema(record: Mapping[str, Any], path: Path) -> None:
    """Raises ArtefactError for a file that no released version wrote, or a later one than this."""
    schema = record.get("schema")
    if type(schema) is not int:  # true is an int, too
        raise ArtefactError(f"{path} was not written by moe-lab: it has no schema version")
    if schema > layout.SCHEMA:
        message = f"{path} has schema {schema}; this moe-lab reads up to {layout.SCHEMA}"
        raise ArtefactError(message, help="update moe-lab")


@contextmanager
def _opened(path: Path, root: Path) -> Iterator[int]:
    """The descriptor of a file, reached from the root folder without following a link."""
    *folders, name = path.relative_to(root).parts
    with ExitStack() as closing:

        def opened(name: str | Path, flags: int, parent: int | None = None) -> int:
            descriptor = os.open(name, flags, dir_fd=parent)
            closing.callback(os.close, descriptor)
            return descriptor

        parent = opened(root, _FOLDER)
        for folder in folders:
            parent = opened(folder, _FOLDER | os.O_NOFOLLOW, parent)
        yield opened(name, _FILE, parent)


def _check_depth(value: object, path: Path) -> None:
    depth, level = 0, [value]
    while level := [child for node in level for child in _children(node)]:
        depth += 1
        limits.DEPTH.check(depth, path)


def _children(node: object) -> list[object]:
    """The parts of a JSON value."""
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"{text[:DIGITS]}... is too long for a number")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is too large for a number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice[:80]!r} stands twice")
    return value
