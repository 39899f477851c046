"""Runs that nobody trains: folders such as a finished run leaves, made through the store as fast as it can."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from math import log10, sin
from pathlib import Path
from typing import Any

from moe_lab.job.task import Ended, Message, Task
from moe_lab.launch.base import NO_JOBS, Demand, Launcher
from moe_lab.plan import PlannedRun, on_top
from moe_lab.store import Run, StoredRun
from moe_lab.store.disk import Disk
from moe_lab.store.system import System

OWN = ("schema", "id", "created")  # of run.json: each run gets its own
COLLAPSING = 1e-3  # alpha below which the stubs say that they have collapsed


class Unsynced(System):
    """A disk that promises nothing."""

    def sync(self, descriptor: int) -> None:
        """Nothing."""


class Stubs(Launcher):
    """A launcher whose runs are over as soon as they begin: copies of one that was trained, each with its own end."""

    def __init__(self, trained: Path, *, jobs: int = 1, fenced: bool = False) -> None:
        super().__init__(Demand(jobs=jobs))
        self.fenced = fenced
        self.seconds = (
            0.0  # of CPU that the runs took: these and their calls are none of the driver's
        )
        self._run, self._jobs = StoredRun(trained), jobs
        self._record = {k: v for k, v in self._run.record.items() if k not in OWN}
        self._ends: list[Message] = []

    @property
    def free(self) -> int:
        return self._jobs - len(self._ends)

    @property
    def busy(self) -> int:
        return len(self._ends)

    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        began, counting = time.process_time(), sys.getprofile()
        sys.setprofile(None)
        for task in tasks:
            self._make(task.sweep, task.run)
            self._ends.append(Ended(task.run.name))
        sys.setprofile(counting)
        self.seconds += time.process_time() - began
        return {task.run.name: task.run.name for task in tasks} if self.fenced else NO_JOBS

    def wait(self, timeout: float | None) -> list[Message]:
        told, self._ends = self._ends, []
        return told

    def stop(self, number: signal.Signals) -> None:
        """What has begun is over."""

    def close(self) -> None:
        """Nothing is open."""

    def _make(self, sweep: Path, run: PlannedRun) -> None:
        """Its records are its own; all other files are links to those of the trained run."""
        record = {**self._record, "config": on_top(self._record["config"], run.settings)}
        disk = Disk(Unsynced(), shared=True)  # shared: does not look for what was left half made
        with Run.create(
            runs_dir=sweep, name=run.name, exact=True, record=record, tables={}, disk=disk
        ) as writing:
            assert self._run.summary
            writing.finish({**self._run.summary, "outcomes": self._outcomes(run)})
        for file in self._run.directory.iterdir():
            if file.is_file() and not (copy := sweep / run.name / file.name).exists():
                os.link(file, copy)

    def _outcomes(self, run: PlannedRun) -> dict[str, Any]:
        """Different for every run and the same each time."""
        alpha = float(run.settings["moe.alpha"])
        spread = sin(1e4 * alpha + run.seed)
        verdict = "collapsed" if alpha < COLLAPSING * (1 + spread / 2) else "balanced"
        loss = 3.3 + 0.01 * (log10(alpha) + 2) ** 2 + 0.02 * spread
        found = {"verdict": verdict, "lm_loss": loss, "gap": loss - 2.8, "cv": 0.5 + 0.1 * spread}
        return {**self._run.outcomes, **found}
