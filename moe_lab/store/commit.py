"""Checkpoints: complete or absent, checked before they are trusted, the old deleted after the new.

A commit also vouches for each table up to its step: a resumed run continues at that row.
"""

import hashlib
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from moe_lab.errors import ArtefactError
from moe_lab.store import files, layout, limits
from moe_lab.store.disk import Disk, json_bytes
from moe_lab.store.prefix import Prefix, read_prefix
from moe_lab.store.seal import check_seal, sealed
from moe_lab.store.tensors import read_shapes

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class State:
    """All that a run needs to go on after `step`; nothing in it depends on the time of day."""

    step: int
    model: Arrays
    optimizer: Arrays
    extra: Mapping[str, Any]  # JSON


@dataclass(frozen=True)
class Commit:
    """The newest intact checkpoint of a run, and the tables up to its step."""

    state: State
    tables: Mapping[str, Prefix]
    skipped: tuple[str, ...]  # what is wrong with each newer one
    damaged: frozenset[int]  # the steps of these


def write_commit(
    disk: Disk,
    directory: Path,
    state: State,
    tables: Mapping[str, Prefix],
    *,
    keep: int,
    damaged: Collection[int] = (),
) -> None:
    """Stages, syncs, renames and re-reads a checkpoint of the run, then deletes all but `keep`.

    Those of the steps `damaged` are deleted first and count for nothing.
    The tables must be synced before. Raises StorageError, or ArtefactError if it does not read
    back; earlier commits are then still there.
    """
    target = layout.checkpoint(directory, state.step)
    with ExitStack() as undo:
        staging = disk.staging_folder(target.parent)
        undo.callback(disk.abandon, staging)
        _write_files(disk, staging, state, tables)
        _put(disk, staging, target)
        undo.pop_all()
    _checked_files(target)
    _delete_old(disk, directory, state.step, keep, damaged)


def newest_commit(directory: Path) -> Commit:
    """The checkpoint of the highest step that is intact: its files, its seal and the rows it counted.

    Raises ArtefactError naming what is wrong with each.
    """
    skipped: dict[int, str] = {}
    for step, folder in reversed(_checkpoints(directory)):
        try:
            state, tables = _load(directory, folder)
        except ArtefactError as error:
            skipped[step] = str(error)
        else:
            return Commit(state, tables, tuple(skipped.values()), frozenset(skipped))
    raise ArtefactError("\n  ".join([f"{directory} has no intact checkpoint", *skipped.values()]))


def clear_leftovers(disk: Disk, directory: Path) -> None:
    """Removes what a kill left half done; the caller holds the run's lock."""
    folder = directory / layout.CHECKPOINTS
    for staging in folder.glob(f"{layout.STAGING}*"):
        disk.discard_tree(staging)
    for old in folder.glob(f"{layout.REPLACED}*"):
        target = folder / old.name.removeprefix(layout.REPLACED)
        if target.exists():
            disk.discard_tree(old)
        else:  # killed between the two renames
            disk.rename(old, target)


def to_bytes(state: State) -> dict[str, bytes]:
    """The files of a checkpoint but for its COMMIT.json, by name."""
    step = {"schema": layout.SCHEMA, "step": state.step}
    return {
        layout.MODEL: _tensors(state.model),
        layout.OPTIMIZER: _tensors(state.optimizer),
        layout.STATE: json_bytes({**step, "extra": state.extra}),
    }


def from_bytes(contents: Mapping[str, bytes], folder: Path) -> State:
    """What `to_bytes` gave, or files of that folder. Raises ArtefactError if they are corrupt."""
    stored = files.parse_json(contents[layout.STATE], folder / layout.STATE)
    return State(
        step=stored["step"],
        model=_arrays(contents[layout.MODEL], folder / layout.MODEL),
        optimizer=_arrays(contents[layout.OPTIMIZER], folder / layout.OPTIMIZER),
        extra=stored["extra"],
    )


def _write_files(disk: Disk, staging: Path, state: State, tables: Mapping[str, Prefix]) -> None:
    step, contents = {"schema": layout.SCHEMA, "step": state.step}, to_bytes(state)
    for name, data in contents.items():
        disk.write_new(staging / name, data)
    sums = {name: {"size": len(data), "sha256": _sha256(data)} for name, data in contents.items()}
    csv = {name: {"bytes": rows.length, "sha256": rows.sha256} for name, rows in tables.items()}
    commit = sealed({**step, "files": sums, "csv": csv})
    disk.write_new(staging / layout.COMMIT, json_bytes(commit))
    disk.sync_folder(staging)


def _tensors(arrays: Arrays) -> bytes:
    # safetensors stores the memory of an array as it lies, and so would silently transpose some;
    # np.ascontiguousarray would give a scalar an axis
    return safetensors.numpy.save({name: np.asarray(a, order="C") for name, a in arrays.items()})


def _put(disk: Disk, staging: Path, target: Path) -> None:
    """Gives the staged checkpoint its name; an older one of the same step gives way."""
    aside = target.with_name(layout.REPLACED + target.name)
    if target.exists():
        disk.rename(target, aside)
    disk.rename(staging, target)
    disk.sync_folder(target.parent)
    if aside.exists():
        disk.discard_tree(aside)


def _delete_old(
    disk: Disk, directory: Path, newest: int, keep: int, damaged: Collection[int]
) -> None:
    """Keeps the last intact ones before the newest; later steps are damaged ones and count for nothing."""
    before = {step: folder for step, folder in _checkpoints(directory) if step < newest}
    worthless = [folder for step, folder in before.items() if step in damaged]
    intact = [folder for step, folder in before.items() if step not in damaged]
    for folder in [*worthless, *intact[: max(0, len(intact) - (keep - 1))]]:
        trash = folder.with_name(layout.STAGING + folder.name)
        # a kill leaves no half of a checkpoint under a checkpoint's name
        disk.rename(folder, trash)
        disk.discard_tree(trash)


def _checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """Step and folder, ascending; links and foreign names are not ours."""
    found = (
        (layout.checkpoint_step(folder), folder)
        for folder in files.inside(directory / layout.CHECKPOINTS)
        if folder.is_dir() and not folder.is_symlink()
    )
    return sorted((step, folder) for step, folder in found if step is not None)


def _load(directory: Path, folder: Path) -> tuple[State, dict[str, Prefix]]:
    try:
        commit, contents = _checked_files(folder)
        tables = {name: _checked_rows(directory, name, of) for name, of in commit["csv"].items()}
        state = from_bytes(contents, folder)
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise ArtefactError(f"{folder} was not written by moe-lab: {error!r}") from error
    return state, tables


def _arrays(data: bytes, path: Path) -> dict[str, np.ndarray]:
    read_shapes(data, path)
    return safetensors.numpy.load(data)


def _checked_files(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """COMMIT.json and the bytes that it vouches for, which nothing has parsed yet."""
    path = folder / layout.COMMIT
    commit = files.read_json(path, root=folder.parent.parent)
    files.check_schema(commit, path)
    check_seal(commit, path)
    if commit["step"] != layout.checkpoint_step(folder):
        raise ArtefactError(f"{path} is of step {commit['step']}: the folder was renamed")
    names = (layout.MODEL, layout.OPTIMIZER, layout.STATE)
    return commit, {name: _checked(folder / name, commit["files"][name]) for name in names}


def _checked_rows(directory: Path, name: str, committed: Any) -> Prefix:
    """The rows of a table that a commit counted: schema 1 has their length alone."""
    if name not in layout.TABLES:
        raise ValueError(f"{name!r} is no table")
    path = layout.table(directory, name)
    if isinstance(committed, int):
        return read_prefix(path, committed)
    rows = read_prefix(path, committed["bytes"])
    if rows.sha256 != committed["sha256"]:
        raise ArtefactError(
            f"{path}: SHA-256 of its first {rows.length} bytes differs from {layout.COMMIT}"
        )
    return rows


def _checked(path: Path, expected: dict[str, Any]) -> bytes:
    data = files.read_regular(path, limits.TENSORS, root=path.parents[2])
    if len(data) != expected["size"]:
        raise ArtefactError(f"{path} has {len(data)} bytes; {expected['size']} were committed")
    if _sha256(data) != expected["sha256"]:
        raise ArtefactError(f"{path}: SHA-256 differs from {layout.COMMIT}")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
