"""Which attempt of a run is the latest, and as what job: kept by a sweep's driver, read by the attempts themselves."""

from pathlib import Path
from typing import Any

from moe_lab.errors import ArtefactError
from moe_lab.store import files, layout, records
from moe_lab.store.disk import DISK, Disk


class Attempts:
    """The attempts of a sweep's runs: a small file for each run, beside the runs' folders.

    Only the driver changes them, under the sweep's lock. All methods raise ArtefactError for a file that is damaged or
    cannot be read, and StorageError if the disk refuses.
    """

    def __init__(self, directory: Path, disk: Disk = DISK):
        self._directory, self._disk = directory, disk  # of the sweep

    def begin(self, run_name: str) -> int:
        """The number of a new attempt, from 1; it is durable, and stops every older one, before it is returned."""
        number = self.number(run_name) + 1
        self._write(run_name, records.Attempt(attempt=number, job=None))
        return number

    def note_job(self, run_name: str, job: str) -> None:
        """Keep what an engine calls the latest attempt, of which there is one."""
        self._write(run_name, records.Attempt(attempt=self.number(run_name), job=job))

    def number(self, run_name: str) -> int:
        """The number of the latest attempt; 0 if there has been none."""
        return int(self._read(run_name).get("attempt", 0))

    def job(self, run_name: str) -> str | None:
        """What an engine calls the latest attempt; None if there is none, or if no engine was given it."""
        job: str | None = self._read(run_name).get("job")
        return job

    def _read(self, run_name: str) -> dict[str, Any]:
        """What is on record; nothing before the first attempt."""
        path = layout.attempt(self._directory, run_name)
        try:
            record = files.read_json(path)
        except ArtefactError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return {}
            raise
        files.check_schema(record, path)
        records.check(records.Attempt, record, path)
        return record

    def _write(self, run_name: str, record: records.Attempt) -> None:
        path = layout.attempt(self._directory, run_name)
        self._disk.make_folder(path.parent)
        self._disk.replace_json(path, {"schema": layout.SCHEMA, **record.model_dump()})
