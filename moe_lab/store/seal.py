"""The seal of a JSON record: a SHA-256 of its rest, by which a changed digit is found that would still parse."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moe_lab.errors import ArtefactError
from moe_lab.store import files, limits
from moe_lab.store.disk import json_bytes
from moe_lab.store.limits import Limit


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its seal."""
    return {**record, "sha256": hashlib.sha256(_text(record)).hexdigest()}


def read_sealed(path: Path, limit: Limit = limits.RECORD) -> dict[str, Any]:
    """A JSON record of a run or a sweep. Raises ArtefactError, and for a broken seal; schema 1 had none."""
    return unsealed(files.read_json(path, limit), path)


def unsealed(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The record without its seal. Raises ArtefactError for another schema, or for a broken seal; schema 1 had none."""
    files.check_schema(record, path)
    if record["schema"] > 1:
        check_seal(record, path)
    return {key: value for key, value in record.items() if key != "sha256"}


def check_seal(record: Mapping[str, Any], path: Path) -> None:
    """Raises ArtefactError, naming the file, if the record has no seal or another one's."""
    body = {key: value for key, value in record.items() if key != "sha256"}
    if record != sealed(body):
        raise ArtefactError(f"{path} is corrupt: its SHA-256 differs")


def _text(record: Mapping[str, Any]) -> bytes:
    """What is hashed: one form for one value. Not that of files: with an indent, Python is ten times as slow."""
    if record.get("schema") == 1:  # sealed its commits so
        return json_bytes(record)
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
