"""A run being written: its lock, its open tables and everything that is put into its folder."""

import os
import traceback
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from moe_lab.errors import ArtefactError
from moe_lab.store import layout
from moe_lab.store.arrays import cut_arrays, write_arrays
from moe_lab.store.commit import State, clear_leftovers, newest_commit, write_commit
from moe_lab.store.disk import DISK, Disk, json_bytes
from moe_lab.store.events import append_event, cut_torn_event, now
from moe_lab.store.folders import publish
from moe_lab.store.lock import Lock
from moe_lab.store.read import read_record
from moe_lab.store.tables import TableWriter, create_table

Condition = Literal["running", "finished", "diverged", "failed", "stopped"]


class Run:
    """A run that this process alone writes, from `create` or `reopen` until `close`.

    Details, records and summaries are JSON, without NaN. Raises StorageError if the disk refuses.
    """

    def __init__(
        self, disk: Disk, directory: Path, lock: Lock, csv_bytes: Mapping[str, int], step: int
    ):
        self._disk = disk
        self.directory = directory
        self.skipped: tuple[str, ...] = ()  # newer checkpoints that `reopen` found damaged
        self._lock = lock
        self.step = step  # of the last commit
        self._tables = {
            name: TableWriter(disk, layout.table(directory, name), length)
            for name, length in csv_bytes.items()
        }

    @classmethod
    def create(
        cls,
        *,
        runs_dir: Path,
        name: str,
        exact: bool,
        config: bytes | None = None,
        resolved: str | None = None,
        record: Mapping[str, Any],
        tables: Mapping[str, Sequence[str]],
        state: State | None = None,
        disk: Disk = DISK,
    ) -> Self:
        """Makes a run's folder with table headers and the commit of `state`: whole, or not at all.

        A run of somebody else's loop has no config and no state: it cannot be reopened.

        A taken name gets -2, -3, …; with `exact` it is refused. Raises ConfigError, StorageError.
        """
        with ExitStack() as undo:
            new = disk.staging_folder(runs_dir)
            undo.callback(disk.abandon, new)
            lock = Lock(new, disk)  # stays with the folder when it is renamed
            undo.callback(lock.close)
            if config is not None:
                disk.write_new(new / layout.CONFIG, config)
            if resolved is not None:
                disk.write_new(new / layout.RESOLVED, resolved.encode())
            disk.write_new(new / layout.RECORD, json_bytes(_identified(record)))
            csv_bytes = {
                table: create_table(disk, layout.table(new, table), header)
                for table, header in tables.items()
            }
            if state is not None:
                write_commit(disk, new, state, csv_bytes, keep=1)
            step = state.step if state else 0
            _write_status(disk, new, "running", step=step)  # syncs the names of all these files
            directory = publish(disk, new, runs_dir / name, exact=exact)
            undo.pop_all()
        return cls(disk, directory, lock, csv_bytes, step)

    @classmethod
    def reopen(cls, directory: Path, disk: Disk = DISK) -> tuple[Self, State]:
        """Goes back to the newest intact commit; rows and files after it are cut off.

        Raises ArtefactError if it is no run or has no intact commit, StorageError if it is in use.
        """
        read_record(directory)  # before a lock file is left in a folder that is no run
        with ExitStack() as undo:
            lock = Lock(directory, disk)
            undo.callback(lock.close)
            clear_leftovers(disk, directory)
            commit = newest_commit(directory)
            _check_lengths(directory, commit.csv_bytes)
            cut_arrays(disk, directory, commit.state.step)
            cut_torn_event(disk, directory)
            run = cls(disk, directory, lock, commit.csv_bytes, commit.state.step)
            undo.pop_all()
        run.skipped = commit.skipped
        run.status("running")
        return run, commit.state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def append(self, table: str, row: Mapping[str, object]) -> None:
        """Adds one row to a table; readers see it after `flush`."""
        self._tables[table].append(row)

    def flush(self) -> None:
        """Hands all rows to the operating system: they survive the end of this process."""
        for table in self._tables.values():
            table.flush()

    def save_arrays(self, step: int, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Writes the arrays of an evaluation, durably."""
        write_arrays(self._disk, self.directory, step, arrays)

    def commit(self, state: State, *, keep: int) -> None:
        """Makes rows and state durable, then deletes all but the last `keep` checkpoints."""
        csv_bytes = {name: table.sync() for name, table in self._tables.items()}
        write_commit(self._disk, self.directory, state, csv_bytes, keep=keep)
        self.step = state.step
        self.status("running")

    def event(self, kind: str, **details: Any) -> None:
        """Adds a line to events.jsonl, with the time."""
        append_event(self._disk, self.directory, kind, **details)

    def status(self, condition: Condition, **details: Any) -> None:
        """Replaces status.json; `step` is the last committed one unless given."""
        _write_status(self._disk, self.directory, condition, **{"step": self.step, **details})

    def log(self, text: str) -> None:
        """Adds plain text to log.txt, as a line."""
        self._disk.append(self.directory / layout.LOG, (text + "\n").encode())

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Marks the run as finished; summary.json is its last file."""
        for table in self._tables.values():
            table.sync()
        self.status("finished")
        self._disk.replace_json(
            self.directory / layout.SUMMARY, {"schema": layout.SCHEMA, **summary}
        )

    def fail(self, error: BaseException) -> None:
        """Marks the run as ended by an error, stopped if that is Ctrl-C; the log has the traceback."""
        condition: Condition = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        self.log("".join(traceback.format_exception(error)))
        self.event(condition, reason=repr(error))
        self.status(condition, reason=repr(error))

    def close(self) -> None:
        """Closes the tables and frees the lock; rows that were not flushed are dropped."""
        for table in self._tables.values():
            table.close()
        self._lock.close()


def _identified(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": layout.SCHEMA, "id": str(uuid.uuid4()), "created": now(), **record}


def _write_status(disk: Disk, directory: Path, condition: Condition, **details: Any) -> None:
    status = {"schema": layout.SCHEMA, "state": condition, "pid": os.getpid(), "time": now()}
    disk.replace_json(directory / layout.STATUS, {**status, **details})


def _check_lengths(directory: Path, csv_bytes: Mapping[str, int]) -> None:
    """Before any table is cut: each must hold what its checkpoint counted."""
    for name, committed in csv_bytes.items():
        path = layout.table(directory, name)
        size = path.stat().st_size if path.is_file() else 0
        if size < committed:
            raise ArtefactError(f"{path} has {size} bytes; its checkpoint counted {committed}")
