"""A run being written: its lock, its open tables and everything that is put into its folder."""

import os
import traceback
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from moe_lab.errors import StorageError
from moe_lab.store import layout
from moe_lab.store.arrays import cut_arrays, write_arrays
from moe_lab.store.commit import State, clear_leftovers, newest_commit, write_commit
from moe_lab.store.disk import DISK, Disk, json_bytes
from moe_lab.store.events import append_event, cut_torn_event, now
from moe_lab.store.fenced import FencedError, take_over
from moe_lab.store.folders import publish, refuse_foreign, resume_command, staging
from moe_lab.store.lock import Lock
from moe_lab.store.prefix import Prefix
from moe_lab.store.read import read_record
from moe_lab.store.seal import sealed
from moe_lab.store.tables import TableWriter, create_table
from moe_lab.store.tails import Tails, set_aside

Condition = Literal["running", "finished", "diverged", "failed", "stopped"]


class Run:
    """A run that this process alone writes, from `create` or `reopen` until `close`.

    Details, records and summaries are JSON, without NaN. Raises StorageError if the disk refuses.
    """

    def __init__(
        self, disk: Disk, directory: Path, lock: Lock, tables: Mapping[str, Prefix], step: int
    ):
        self._disk = disk
        self.directory = directory
        self.skipped: tuple[str, ...] = ()  # newer checkpoints that `reopen` found damaged
        self._damaged: frozenset[int] = frozenset()  # their steps
        self.differences: list[str] = []  # rows that came out otherwise when computed again
        self.step = step  # of the last commit
        with ExitStack() as self._open:
            self._open.callback(lock.close)
            self._tails = Tails(disk, directory, tables)
            self._tables: dict[str, TableWriter] = {}
            for name, prefix in tables.items():
                self._tables[name] = TableWriter(disk, layout.table(directory, name), prefix)
                self._open.callback(self._tables[name].close)
            self._open = self._open.pop_all()

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
        with staging(disk, runs_dir) as (new, lock):
            if config is not None:
                disk.write_new(new / layout.CONFIG, config)
            if resolved is not None:
                disk.write_new(new / layout.RESOLVED, resolved.encode())
            disk.write_new(new / layout.RECORD, json_bytes(sealed(_identified(record))))
            prefixes = {
                table: create_table(disk, layout.table(new, table), header)
                for table, header in tables.items()
            }
            if state is not None:
                write_commit(disk, new, state, prefixes, keep=1)
            step = state.step if state else 0
            _write_status(disk, new, "running", step=step)  # syncs the names of all these files
            directory = publish(disk, new, runs_dir / name, exact=exact)
        return cls(disk, directory, lock, prefixes, step)

    @classmethod
    def reopen(cls, directory: Path, disk: Disk = DISK) -> tuple[Self, State]:
        """Goes back to the newest intact commit; rows after it are set aside, and arrays removed.

        Raises ArtefactError if it is no run or has no intact commit, StorageError if it is in use or not its owner's.
        """
        read_record(directory)  # before a lock file is left in a folder that is no run
        refuse_foreign(directory)
        with ExitStack() as undo:
            lock = Lock(directory, disk)
            undo.callback(lock.close)
            clear_leftovers(disk, directory)
            if disk.shared:
                take_over(disk, directory)
            commit = newest_commit(directory)
            set_aside(disk, directory, commit.tables)
            cut_arrays(disk, directory, commit.state.step)
            cut_torn_event(disk, directory)
            undo.pop_all()  # the lock is the run's
            run = cls(disk, directory, lock, commit.tables, commit.state.step)
            undo.callback(run.close)
            run.skipped, run._damaged = commit.skipped, commit.damaged
            run._tails.settle(commit.tables)  # what a kill left when their rows were committed
            run.status("running")
            undo.pop_all()
        return run, commit.state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Closes the run; an error of the disk tells from which step the run can go on."""
        self.close()
        if isinstance(error, FencedError):
            return  # a newer attempt goes on already
        if isinstance(error, StorageError) and (self.directory / layout.CHECKPOINTS).exists():
            intact = f"step {self.step} is intact; go on with: {resume_command(self.directory)}"
            advice = "; ".join(filter(None, (error.problems[0].help, intact)))
            raise StorageError(str(error), help=advice) from error

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
        tables = {name: table.sync() for name, table in self._tables.items()}
        for name, step in self._tails.settle(tables).items():
            self.event("nondeterminism", table=name, step=step)
            self.differences.append(f"{name}.csv: step {step} came out otherwise than before")
        self._damaged -= {state.step}  # replaced by an intact one
        write_commit(self._disk, self.directory, state, tables, keep=keep, damaged=self._damaged)
        self.step = state.step
        self.status("running")

    def forget_rows(self) -> None:
        """Drops the rows set aside: the run goes on with settings by which they would come out otherwise."""
        self._tails.forget()

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
            self.directory / layout.SUMMARY, sealed({"schema": layout.SCHEMA, **summary})
        )

    def fail(self, error: BaseException) -> None:
        """Marks the run as ended by an error, stopped if that is Ctrl-C; the log has the traceback.

        What the disk refuses is left out: the error that ended the run comes first.
        """
        condition: Condition = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(StorageError):
            self.log("".join(traceback.format_exception(error)))
        with suppress(StorageError):
            self.event(condition, reason=repr(error))
        with suppress(StorageError):
            self.status(condition, reason=repr(error))

    def close(self) -> None:
        """Closes the tables and frees the lock; rows that were not flushed are dropped."""
        self._open.close()


def _identified(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": layout.SCHEMA, "id": str(uuid.uuid4()), "created": now(), **record}


def _write_status(disk: Disk, directory: Path, condition: Condition, **details: Any) -> None:
    status = {"schema": layout.SCHEMA, "state": condition, "pid": os.getpid(), "time": now()}
    disk.replace_json(directory / layout.STATUS, {**status, **details})
