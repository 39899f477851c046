"""Reading a run for its report or before resuming it: nothing is locked and nothing is written."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_lab import config
from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.store import files, layout
from moe_lab.store.arrays import Arrays, array_steps, read_arrays
from moe_lab.store.events import read_events
from moe_lab.store.lock import is_locked
from moe_lab.store.tables import read_table

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
        return files.read_json(self.directory / layout.STATUS)

    @property
    def state(self) -> str:
        """The state in status.json, unless it says running and no process writes the run."""
        state = str(self.status["state"])
        return "interrupted" if state == "running" and not self.is_alive else state

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
        return files.read_json(self.directory / layout.SUMMARY)  # written once

    @property
    def is_recorded(self) -> bool:
        """Whether the run is that of somebody else's loop: it has no config file and no checkpoints."""
        return self.record.get("kind") == "monitor"

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting that the run was made with, nested as in the config file; of another's loop what is known.

        In one form, whatever it is read from: keys in alphabetical order, lists as tuples.
        """
        stored = self.record.get("config")
        settings: dict[str, Any] = _normal(self._resolved() if stored is None else stored)
        return settings

    def _resolved(self) -> dict[str, Any]:
        """The settings of a run of an earlier version, whose run.json has none."""
        path = self.directory / layout.RESOLVED
        try:  # the run is past: its text may be gone
            return config.load(path, data_exists=False).config.model_dump()
        except ConfigError as error:
            raise ArtefactError(f"{path} is no run's config: {error}") from error

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
        return layout.table(self.directory, name).exists()

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


def _normal(settings: Any) -> Any:
    if isinstance(settings, dict):
        return {key: _normal(settings[key]) for key in sorted(settings)}
    return tuple(map(_normal, settings)) if isinstance(settings, list | tuple) else settings


def read_record(directory: Path) -> dict[str, Any]:
    """run.json. Raises ArtefactError if the folder is not a run, or of a later version."""
    path = directory / layout.RECORD
    try:
        record = files.read_json(path)
    except ArtefactError as error:
        if os.path.lexists(directory / layout.SWEEP):
            runs = sorted(path.parent for path in directory.glob(f"*/{layout.RECORD}"))
            remedy = (
                f"name one of its runs, such as {runs[0]}" if runs else "none of its runs has begun"
            )
            raise ArtefactError(f"{directory} is a sweep, not a run", help=remedy) from error
        raise ArtefactError(f"{directory} is not a moe-lab run: {error}") from error
    files.check_schema(record, path)
    return record
