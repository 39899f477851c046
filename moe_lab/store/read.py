"""Reading a run for its report or before resuming it: nothing is locked and nothing is written."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_lab import config
from moe_lab.config.files import document
from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.store import files, layout, limits, records
from moe_lab.store.arrays import Arrays, array_steps, read_arrays
from moe_lab.store.events import read_events
from moe_lab.store.foreign import not_a_run
from moe_lab.store.lock import is_locked
from moe_lab.store.seal import read_sealed, unsealed
from moe_lab.store.table_reading import read_table

if TYPE_CHECKING:
    import pandas as pd


class StoredRun:
    """A run on disk: finished, torn or still being written.

    Raises ArtefactError, here and when a part is read, if it is missing, foreign or corrupt.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.record = read_record(directory)  # run.json

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.directory.resolve().name

    @property
    def status(self) -> dict[str, Any]:
        """status.json as it is now."""
        path = self.directory / layout.STATUS
        status = files.read_json(path)
        records.check(records.Status, status, path)
        return status

    @property
    def state(self) -> str:
        """The state in status.json, unless the summary is there, or it says running and no process writes the run."""
        alive = (
            self.is_alive
        )  # asked first: a process that has ended by then has written all that it will
        if self.is_finished:  # whatever the disk refused after it
            return "finished"
        state = str(self.status["state"])
        return "interrupted" if state == "running" and not alive else state

    @property
    def summary(self) -> dict[str, Any] | None:
        """summary.json; None if the run has not finished."""
        return self._summary if self.is_finished else None

    @property
    def outcomes(self) -> dict[str, Any]:
        """What a finished run came to, of summary.json; empty for any other, and where an earlier version wrote it."""
        found = (self.summary or {}).get("outcomes")
        return found if isinstance(found, dict) else {}

    @cached_property
    def _summary(self) -> dict[str, Any]:
        return read_sealed(self.directory / layout.SUMMARY)  # written once

    @property
    def is_recorded(self) -> bool:
        """Whether the run is that of somebody else's loop: it has no config file and no checkpoints."""
        return self.record.get("kind") == records.MONITOR

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting that the run was made with, nested as in the config file; of another's loop what is known.

        In one form, whatever it is read from: keys in alphabetical order, lists as tuples.
        """
        stored = self.record.get("config")
        settings: dict[str, Any] = normal(self._resolved() if stored is None else stored)
        if "train" in settings:
            settings["train"]["steps"] = self.steps  # a resume may have made them more
        return settings

    def _resolved(self) -> dict[str, Any]:
        """The settings of a run of an earlier version, whose run.json has none."""
        return stored_config(self.directory / layout.RESOLVED).config.model_dump()

    @property
    def steps(self) -> int | None:
        """How many steps the run is to make, which a resume may have made more; None of another's loop."""
        if self.is_recorded:
            return None
        if self.summary:  # which an extension removes
            return int(self.summary["steps"])
        asked = [event.get("to") for event in self.events if event.get("kind") == "extend"]
        known = [number for number in (self.record.get("steps"), *asked) if type(number) is int]
        return max(known, default=None)

    def table(self, name: str) -> "pd.DataFrame":
        """The whole rows of one of layout.TABLES."""
        return read_table(layout.table(self.directory, name))

    def arrays(self, step: int) -> Arrays:
        """The arrays of one evaluation, by name."""
        return read_arrays(self.directory, step)

    @property
    def array_steps(self) -> list[int]:
        """The steps of the evaluations that left arrays, ascending."""
        return array_steps(self.directory)

    def has_table(self, name: str) -> bool:
        """Whether the run has one of layout.TABLES: earlier versions wrote fewer."""
        return os.path.lexists(layout.table(self.directory, name))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of events.jsonl, without a torn last one; none if there is no such file."""
        return read_events(self.directory)

    @property
    def is_finished(self) -> bool:
        """Whether the run went to its end."""
        return is_finished(self.directory)

    @property
    def is_alive(self) -> bool:
        """Whether a process is writing the run now."""
        return is_locked(self.directory)


def is_finished(directory: Path) -> bool:
    """Whether the run went to its end: its summary is written last."""
    return os.path.lexists(directory / layout.SUMMARY)


def stored_config(path: Path) -> config.Resolved:
    """A config that lies in the folder of a run or sweep; its data may be gone. Raises ArtefactError.

    It is a file there and extends none: opening a folder reads nothing that lies elsewhere.
    """
    files.read_regular(path, limits.RECORD)
    _, tree = document(path, [])
    if tree and isinstance(tree.value, dict) and "extends" in tree.value:
        raise ArtefactError(f"{path} is no run's config: it extends another file")
    try:
        return config.load(path, data_exists=False)
    except ConfigError as error:
        raise ArtefactError(f"{path} is no run's config: {error}") from error


def normal(settings: Any) -> Any:
    """Settings in one form, whatever they are read from: keys in alphabetical order, lists as tuples."""
    if isinstance(settings, dict):
        return {key: normal(settings[key]) for key in sorted(settings)}
    return tuple(map(normal, settings)) if isinstance(settings, list | tuple) else settings


def read_record(directory: Path) -> dict[str, Any]:
    """run.json. Raises ArtefactError if the folder is not a run, or of a later version."""
    path = directory / layout.RECORD
    if not os.path.lexists(path):
        raise not_a_run(directory, f"it has no {layout.RECORD}")
    try:
        record = files.read_json(path)
    except ArtefactError as error:
        raise not_a_run(directory, str(error)) from error
    return unsealed(record, path)
