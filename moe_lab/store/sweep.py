"""The folder of a sweep: its plan, written once; how far it is, is read from the folders of its runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from moe_lab import config, tuning
from moe_lab.config import Resolved
from moe_lab.errors import ArtefactError
from moe_lab.plan import Plan, PlannedRun
from moe_lab.store import files, layout
from moe_lab.store.disk import DISK, Disk, json_bytes
from moe_lab.store.events import append_event, now, read_events
from moe_lab.store.folders import publish
from moe_lab.store.lock import is_locked
from moe_lab.store.read import StoredRun, is_finished

FAILURES = ("failed", "diverged")  # an error ended them; the other unfinished ones can just go on


@dataclass(frozen=True)
class RunState:
    """Where one planned run is."""

    run: PlannedRun
    state: str  # pending | running | finished | failed | diverged | stopped | interrupted
    error: str | None = None  # why it failed, or was killed


class StoredSweep:
    """A sweep on disk. Raises ArtefactError if it is none, or if its plan is damaged."""

    def __init__(self, directory: Path, disk: Disk = DISK):
        self._disk = disk
        self.directory = directory
        path = directory / layout.SWEEP
        if not is_sweep(directory):
            raise ArtefactError(f"{directory} is not a moe-lab sweep: it has no {layout.SWEEP}")
        record = files.parse_json(files.read_regular(path), path)  # a plan may be long
        files.check_schema(record, path)
        try:
            self.plan = Plan.from_json(record["plan"])
            self.created = str(record["created"])  # ISO 8601, UTC
        except (KeyError, TypeError) as error:
            raise ArtefactError(f"{path} is corrupt: it holds no plan: {error!r}") from error

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.directory.resolve().name

    @property
    def base_path(self) -> Path:
        """The config that every run changes in the settings of its plan."""
        return self.directory / layout.BASE

    @cached_property
    def base(self) -> Resolved:
        """The base config; its data need not exist any more."""
        return config.load(self.base_path, data_exists=False)

    def run_directory(self, run: PlannedRun) -> Path:
        """Where a run is, or will be."""
        return self.directory / run.name

    def states(self) -> dict[str, RunState]:
        """Where every run is, by name."""
        return {run.name: self.state(run) for run in self.runs()}

    def runs(self) -> Iterator[PlannedRun]:
        """Every run that is known to be needed: the grid, then what the tuning rule has asked for so far."""
        yield from self.plan.runs
        if self.plan.rule:
            known = {run.name for run in self.plan.runs}
            asked = (run for chain in self.chains() for run in chain.runs)
            yield from (run for run in asked if run.name not in known)

    def chains(self) -> list[tuning.Chain]:
        """What the tuning rule has come to, by seed."""
        return [tuning.follow(seed, self.outcomes) for seed in self.plan.seeds]

    def outcomes(self, run: PlannedRun) -> Mapping[str, Any] | None:
        """What a finished run stored about itself; None for any other, and for one that is damaged."""
        try:
            return StoredRun(self.run_directory(run)).outcomes or None
        except ArtefactError:
            return None

    def state(self, run: PlannedRun) -> RunState:
        """Where one run is."""
        directory = self.run_directory(run)
        if is_finished(directory):
            return RunState(run, "finished")
        if not directory.exists():
            error = self._failures.get(run.name)
            return RunState(run, "failed" if error else "pending", error)
        try:
            stored = StoredRun(directory)
            state = stored.state
            reason = stored.status.get("reason")
        except ArtefactError as error:
            return RunState(run, "failed", str(error))
        return RunState(
            run, state, str(reason) if state in FAILURES else self._failures.get(run.name)
        )

    def write_tables(self, *, runs: str, points: str) -> None:
        """Replaces runs.csv and summary.csv: copies for other programs, which nothing of ours reads."""
        for name, text in ((layout.RUNS_TABLE, runs), (layout.POINTS_TABLE, points)):
            self._disk.replace(self.directory / name, text.encode())

    def fail(self, run: PlannedRun, error: str) -> None:
        """Keep why a run failed."""
        append_event(self._disk, self.directory, "failed", run=run.name, error=error)
        self._failures[run.name] = error

    @cached_property
    def _failures(self) -> dict[str, str]:
        """The last error of runs that failed, by name: one without a folder left it nowhere else."""
        return {
            event["run"]: event["error"]
            for event in read_events(self.directory)
            if event["kind"] == "failed"
        }


def create_sweep(
    runs_dir: Path, name: str, plan: Plan, *, base: str, config: bytes, disk: Disk = DISK
) -> StoredSweep:
    """Makes the folder of a sweep, whole or not at all. Raises ConfigError if the name is taken, and StorageError."""
    with ExitStack() as undo:
        new = disk.staging_folder(runs_dir)
        undo.callback(disk.abandon, new)
        disk.write_new(new / layout.CONFIG, config)
        disk.write_new(new / layout.BASE, base.encode())
        record = {"schema": layout.SCHEMA, "created": now(), "plan": plan.to_json()}
        disk.write_new(new / layout.SWEEP, json_bytes(record))
        disk.sync_folder(new)
        directory = publish(disk, new, runs_dir / name, exact=True)
        undo.pop_all()
    return StoredSweep(directory, disk)


def clear_staging(directory: Path, disk: Disk = DISK) -> None:
    """Removes run folders that a kill left half prepared; those of a live process are locked and stay."""
    for staging in directory.glob(f"{layout.STAGING}*"):
        if not is_locked(staging):
            disk.abandon(staging)


def is_sweep(directory: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return os.path.lexists(directory / layout.SWEEP)
