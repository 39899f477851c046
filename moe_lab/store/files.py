"""The few raw file operations: private, synced, all or nothing, with errors that name the path."""

import errno
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from moe_lab.errors import ArtefactError, StorageError
from moe_lab.store import layout

JSON_LIMIT = 1_000_000  # bytes; a larger one is none of ours

_FULL = "free space on its file system and go on from the run's last checkpoint, which is intact"
_ELSEWHERE = "choose another place with --runs-dir"
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.EEXIST: _ELSEWHERE,
    errno.ENOTDIR: _ELSEWHERE,
    errno.ENOLCK: _ELSEWHERE,
    errno.ENOTSUP: _ELSEWHERE,
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError into a StorageError that names the path, what failed and what to do."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk; the last checkpoint is intact")
        raise StorageError(f"cannot write {path}: {error.strerror}", help=remedy) from error


def write_new(path: Path, data: bytes) -> None:
    """Writes and syncs a file that must not exist, readable by its owner only."""
    with _private(path, os.O_EXCL) as descriptor:
        write_all(descriptor, data)
        os.fsync(descriptor)


def append(path: Path, data: bytes) -> None:
    """Adds to a file, made private if it is new; not synced."""
    with _private(path, os.O_APPEND) as descriptor:
        write_all(descriptor, data)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes every byte, whatever the system takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    with writing(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def staging_folder(parent: Path) -> Path:
    """A new hidden folder beside what it will become; it and a new parent are of mode 0700."""
    with writing(parent):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=layout.STAGING, dir=parent))


def json_bytes(value: object) -> bytes:
    """JSON as it is stored: one form for one value; NaN is refused, because few readers take it."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def replace_json(path: Path, value: object) -> None:
    """Replaces a JSON file, as `replace` does."""
    replace(path, json_bytes(value))


def replace(path: Path, data: bytes) -> None:
    """Replaces a file: a reader, or a power cut, finds the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.new")
    with writing(path):
        temporary.unlink(missing_ok=True)  # left by a kill
        write_new(temporary, data)
        temporary.replace(path)
    sync_folder(path.parent)


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


@contextmanager
def _private(path: Path, flags: int) -> Iterator[int]:
    with writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return value
