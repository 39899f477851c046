"""Reading the files of a run, which somebody else may have written: plain files only, JSON in one form."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from moe_lab.errors import ArtefactError
from moe_lab.store import layout

JSON_LIMIT = 1_000_000  # bytes; a larger one is none of ours


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """A plain file's bytes. Raises ArtefactError with the reason; a link or device is one."""
    with reading(path) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise ArtefactError(f"{path} has {size:,} bytes, more than {limit:,}")
        return file.read()


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """A plain file opened to be read. Raises ArtefactError as `read_regular` does."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ArtefactError(f"{path} is not a plain file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run. Raises ArtefactError with path and reason."""
    return parse_json(read_regular(path, JSON_LIMIT), path)


def parse_json(data: bytes, path: Path) -> dict[str, Any]:
    """A JSON object of this schema; NaN and repeated keys, which Python would take, are refused."""
    try:
        value = json.loads(
            data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} is corrupt: {error}") from error
    if not isinstance(value, dict):
        raise ArtefactError(f"{path} is corrupt: not a JSON object")
    return value


def check_schema(record: dict[str, Any], path: Path) -> None:
    """Raises ArtefactError for a file that no released version wrote, or a later one than this."""
    schema = record.get("schema")
    if not isinstance(schema, int):
        raise ArtefactError(f"{path} was not written by moe-lab: it has no schema version")
    if schema > layout.SCHEMA:
        message = f"{path} has schema {schema}; this moe-lab reads up to {layout.SCHEMA}"
        raise ArtefactError(message, help="update moe-lab")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return value
