"""events.jsonl: what happened to a run or a sweep, a line each, with the time."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moe_lab.store import files, layout


def append_event(directory: Path, kind: str, **details: Any) -> None:
    """Adds a line, with the time; not synced."""
    line = json.dumps({"time": now(), "kind": kind, **details}, allow_nan=False)
    files.append(directory / layout.EVENTS, (line + "\n").encode())


def read_events(directory: Path) -> list[dict[str, Any]]:
    """The lines, without a torn last one; none if there is no such file."""
    path = directory / layout.EVENTS
    if not path.exists():
        return []
    lines = files.read_regular(path).split(b"\n")[:-1]
    return [files.parse_json(line, path) for line in lines]


def cut_torn_event(directory: Path) -> None:
    """A kill in the middle of a line must not fuse it with the next one."""
    path = directory / layout.EVENTS
    if path.exists():
        whole = files.read_regular(path).rfind(b"\n") + 1
        with files.writing(path):
            os.truncate(path, whole)


def now() -> str:
    """The time of day, as files have it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
