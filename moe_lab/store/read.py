"""Reading a run for its report or before resuming it: nothing is locked and nothing is written."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_lab import config
from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.store import files, layout
from moe_lab.store.arrays import Arrays, array_steps, read_arrays
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
    def summary(self) -> dict[str, Any] | None:
        """summary.json; None if the run has not finished."""
        return files.read_json(self.directory / layout.SUMMARY) if self.is_finished else None

    @property
    def is_recorded(self) -> bool:
        """Whether the run is that of somebody else's loop: it has no config file and no checkpoints."""
        return self.record.get("kind") == "monitor"

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting that the run was made with, nested as in the config file.

        Of a run of somebody else's loop, what run.json has of them.
        """
        if self.is_recorded:
            return dict(self.record["config"])
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
        path = self.directory / layout.EVENTS
        if not path.exists():
            return []
        lines = files.read_regular(path).split(b"\n")[:-1]
        return [files.parse_json(line, path) for line in lines]

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


def read_record(directory: Path) -> dict[str, Any]:
    """run.json. Raises ArtefactError if the folder is not a run, or of a later version."""
    path = directory / layout.RECORD
    try:
        record = files.read_json(path)
    except ArtefactError as error:
        raise ArtefactError(f"{directory} is not a moe-lab run: {error}") from error
    files.check_schema(record, path)
    return record
