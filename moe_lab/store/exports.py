"""The folder of an export: whole or not at all; it gives way to the next one, and to nothing else."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.store import layout, limits
from moe_lab.store.disk import Disk, json_bytes
from moe_lab.store.folders import staging
from moe_lab.store.seal import read_sealed, sealed

OURS = (layout.EXPORT, layout.LOCK)  # files of the folder that an export does not list


@contextmanager
def export_folder(disk: Disk, target: Path) -> Iterator[Path]:
    """A hidden folder to be filled, and finished by `finish`, that then becomes the target; an error removes it.

    Raises ConfigError, before anything is written, if the target is there and no export as one was left.
    """
    refuse_other(target)
    disk.make_folder(target.parent)
    with staging(disk, target.parent) as (new, lock):
        yield new
        _put(disk, new, target)
        disk.discard(target / layout.LOCK)
    lock.close()


def finish(disk: Disk, folder: Path, record: Mapping[str, Any]) -> None:
    """Writes EXPORT.json, with the names of all files, and makes the folders below durable."""
    found = sorted(folder.rglob("*"))
    files = [path.relative_to(folder).as_posix() for path in found if not path.is_dir()]
    listed = [name for name in files if name not in OURS]
    whole = sealed({"schema": layout.SCHEMA, **record, "files": listed})
    disk.write_new(folder / layout.EXPORT, json_bytes(whole))
    for path in (*(path for path in found if path.is_dir()), folder):
        disk.sync_folder(path)


def refuse_other(target: Path) -> None:
    """Raises ConfigError unless there is nothing, or an export with no other files in it."""
    if not os.path.lexists(target):
        return
    if wrong := _wrong(target):
        raise ConfigError(f"{target} {wrong}", help="name another place: --out FOLDER")


def _wrong(target: Path) -> str | None:
    """Why a folder is no export that may be replaced; None if it is one."""
    try:
        record = {} if target.is_symlink() else read_sealed(target / layout.EXPORT, limits.PLAN)
    except ArtefactError:
        record = {}
    if "files" not in record:
        return "exists, and is no export of moe-lab"
    found = (path for path in target.rglob("*") if path.is_symlink() or not path.is_dir())
    names = {path.relative_to(target).as_posix() for path in found}
    others = sorted(names - {*record["files"], *OURS})
    return f"holds a file that no export wrote: {others[0]}" if others else None


def _put(disk: Disk, new: Path, target: Path) -> None:
    """Gives the folder its name; an older export takes a hidden one, by which the next removes it after a kill."""
    if not target.exists():
        disk.rename(new, target)
        disk.sync_folder(target.parent)
        return
    old = disk.staging_folder(target.parent)
    disk.rename(target, old)
    disk.rename(new, target)
    disk.sync_folder(target.parent)
    disk.abandon(old)
