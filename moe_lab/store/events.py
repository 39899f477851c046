"""events.jsonl: what happened to a run or a sweep, a line each, with the time."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moe_lab.store import files, layout, limits
from moe_lab.store.disk import Disk


def append_event(disk: Disk, directory: Path, kind: str, **details: Any) -> None:
    """Adds a line, with the time; not synced."""
    line = json.dumps({"time": now(), "kind": kind, **details}, allow_nan=False)
    disk.append(directory / layout.EVENTS, (line + "\n").encode())


def read_events(directory: Path) -> list[dict[str, Any]]:
    """The lines, without a torn last one; none if there is no such file."""
    path = directory / layout.EVENTS
    if not path.exists():
        return []
    lines = files.read_regular(path, limits.EVENTS).split(b"\n")[:-1]
    limits.EVENT_LINES.check(len(lines), path)
    return [files.parse_json(line, Path(f"{path}:{i}")) for i, line in enumerate(lines, start=1)]


def cut_torn_event(disk: Disk, directory: Path) -> None:
    """A kill in the middle of a line must not fuse it with the next one."""
    path = directory / layout.EVENTS
    if path.exists():
        whole = files.read_regular(path, limits.EVENTS).rfind(b"\n") + 1
        disk.cut(path, whole)


def now() -> str:
    """The time of day, as files have it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
