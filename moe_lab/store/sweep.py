"""The folder of a sweep: its plan, written once; how far it is, is read from the folders of its runs."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from moe_lab import tuning
from moe_lab.config import Resolved
from moe_lab.config.dump import flow
from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.plan import Plan, PlannedRun, on_top, unequal
from moe_lab.store import layout, limits, records
from moe_lab.store.commit import newest_commit
from moe_lab.store.disk import DISK, Disk, json_bytes
from moe_lab.store.events import append_event, now, read_events
from moe_lab.store.folders import publish, staging
from moe_lab.store.read import StoredRun, normal, stored_config
from moe_lab.store.seal import read_sealed, sealed

ERROR = (
    500  # characters of an error that a sweep keeps; the log of a run that had begun has all of it
)
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
        self.disk = disk  # by which all of it is changed
        self.directory = directory
        path = directory / layout.SWEEP
        if not is_sweep(directory):
            raise ArtefactError(f"{directory} is not a moe-lab sweep: it has no {layout.SWEEP}")
        record = read_sealed(path, limits.PLAN)
        records.check(records.Sweep, record, path)
        self.plan = Plan.from_json(record["plan"])
        self.created = str(record["created"])  # ISO 8601, UTC

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
        return stored_config(self.base_path)

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
        return [self.chain(seed) for seed in self.plan.seeds]

    def chain(self, seed: int) -> tuning.Chain:
        """What the tuning rule has come to at a seed, which hangs on the runs of that seed alone."""
        return tuning.follow(seed, self.outcomes)

    def outcomes(self, run: PlannedRun) -> Mapping[str, Any] | None:
        """What a finished run stored about itself; None for any other, and for one that is damaged or not planned."""
        try:
            stored = StoredRun(self.run_directory(run))
            self.check_settings(run, stored)
            return stored.outcomes or None
        except ArtefactError:
            return None

    def state(self, run: PlannedRun) -> RunState:
        """Where one run is. A folder that holds no run of this plan is a failure, finished or not."""
        killed = self._failures.get(run.name)
        if not self.run_directory(run).exists():
            return RunState(run, "failed" if killed else "pending", killed)
        try:
            stored = StoredRun(self.run_directory(run))
            if not stored.is_finished and stored.is_alive:  # whatever its status says
                return RunState(run, "running")
            self.check_settings(run, stored)
            if stored.is_finished:
                return RunState(run, "finished")
            status, state = stored.status, stored.state
        except ArtefactError as error:
            return RunState(run, "failed", str(error))
        return RunState(run, state, str(status.get("reason")) if state in FAILURES else killed)

    def damage(self, run: PlannedRun) -> str | None:
        """Why a run that has a folder cannot be gone on with there; None if it can, as far as is known."""
        try:
            self.check_settings(run, StoredRun(self.run_directory(run)))
            newest_commit(self.run_directory(run))
        except ArtefactError as error:
            return str(error)
        return None

    def set_aside(self, run: PlannedRun, reason: str) -> Path:
        """Give a run's folder a hidden name, so that the run can be begun anew; nothing is lost. Its new path."""
        named = (self.directory / f"{layout.ASIDE}{run.name}-{n}" for n in itertools.count(1))
        aside = next(path for path in named if not os.path.lexists(path))
        self.disk.rename(self.run_directory(run), aside)
        self.disk.sync_folder(self.directory)
        details = {"run": run.name, "folder": aside.name, "reason": reason}
        append_event(self.disk, self.directory, "aside", **details)
        return aside

    def check_settings(self, run: PlannedRun, stored: StoredRun) -> None:
        """Raises ArtefactError if what is in a run's folder was made with other settings than those of the plan."""
        planned = on_top(self._settings, normal(run.settings))
        for key, made, asked in unequal(stored.config, planned):
            if key != "name":  # its folder's name is what counts
                raise ArtefactError(
                    f"{stored.directory} was made with {key} {flow(made)}, "
                    f"the plan says {flow(asked)}: move it away"
                )

    @cached_property
    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = normal(self.base.config.model_dump(mode="json"))
        return settings

    def write_tables(self, *, runs: str, points: str) -> None:
        """Replaces runs.csv and summary.csv: copies for other programs, which nothing of ours reads."""
        for name, text in ((layout.RUNS_TABLE, runs), (layout.POINTS_TABLE, points)):
            self.disk.replace(self.directory / name, text.encode())

    def fail(self, run: PlannedRun, error: str) -> None:
        """Keep why a run failed, as far as ERROR reaches: every reader of the sweep reads all of them."""
        kept = error if len(error) <= ERROR else f"{error[:ERROR]}…"
        append_event(self.disk, self.directory, "failed", run=run.name, error=kept)
        self._failures[run.name] = kept

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
    """Makes the folder of a sweep, whole or not at all.

    Raises ConfigError if the name is taken or the plan is larger than what is read back, and StorageError.
    """
    with staging(disk, runs_dir) as (new, lock):
        disk.write_new(new / layout.CONFIG, config)
        disk.write_new(new / layout.BASE, base.encode())
        record = {"schema": layout.SCHEMA, "created": now(), "plan": plan.to_json()}
        data = json_bytes(sealed(record))
        _refuse_long(plan, len(data))
        disk.write_new(new / layout.SWEEP, data)
        disk.sync_folder(new)
        directory = publish(disk, new, runs_dir / name, exact=True)
    lock.close()
    return StoredSweep(directory, disk)


def _refuse_long(plan: Plan, size: int) -> None:
    """size: of its record, in bytes."""
    if size > limits.PLAN.most:
        raise ConfigError(
            f"the plan of {len(plan.points):,} points takes {size:,} bytes; the limit is {limits.PLAN.most:,}",
            help="make several sweeps of it; more seeds make a plan hardly longer",
        )


def is_sweep(directory: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return os.path.lexists(directory / layout.SWEEP)


def only_sweep(directories: Sequence[Path]) -> Path | None:
    """The sweep among folders, None if all are runs. Raises ConfigError for one among others."""
    sweeps = [directory for directory in directories if is_sweep(directory)]
    if sweeps and len(directories) > 1:
        raise ConfigError("a sweep is reported by itself", help="name one sweep, or runs of it")
    return sweeps[0] if sweeps else None
