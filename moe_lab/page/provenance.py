"""Where the runs of a page come from: versions, machine, source, and the commands that make them again."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_FOLDERS = re.compile(r"(?<![\w.…/:<-])/(?:[^\s/'\"<>|:;,]+/)+(?=[^\s/])")


def without_folders(text: str) -> str:
    """Absolute paths by their last part: `/home/me/x.yaml` as `…/x.yaml`."""
    return _FOLDERS.sub("…/", text)


def command(record: Mapping[str, Any]) -> str:
    """What was typed, for a shell."""
    return without_folders(shlex.join(record["command"]))


def facts(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """What runs share, by its name; where they differ, each value once."""
    if not records:
        return
    for name, tell in (("source", _git), ("versions", _versions), ("machine", _machine)):
        yield name, "; ".join(sorted({tell(record) for record in records}))
    times = sorted({str(record["created"])[:19].replace("T", " ") for record in records})
    yield "created", " to ".join(dict.fromkeys((times[0], times[-1]))) + " UTC"


def _git(record: Mapping[str, Any]) -> str:
    git = record["git"]
    if git is None:
        return "no git repository"
    return f"git {str(git.get('commit'))[:10]}" + (", changed files" if git.get("dirty") else "")


def _versions(record: Mapping[str, Any]) -> str:
    named = {"moe_lab": "moe-lab", **{name: name for name in ("torch", "numpy", "python")}}
    return ", ".join(f"{word} {record['versions'].get(key)}" for key, word in named.items())


def _machine(record: Mapping[str, Any]) -> str:
    host = record["host"]
    parts = [host.get("system"), f"{host.get('cores')} cores", host.get("cpu_capability")]
    threads = f"device {record['device']}, threads {record['threads']}"
    return ", ".join([*(str(part) for part in (*parts, host.get("gpu")) if part), threads])
