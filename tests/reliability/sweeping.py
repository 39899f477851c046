"""A sweep without a model, for `kill_server`: all that its driver writes, while its runs come from elsewhere."""

import json
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from moe_lab import config
from moe_lab.job.task import Ended, Message, Task
from moe_lab.launch.base import NO_JOBS, Demand, Launcher
from moe_lab.progress.base import SweepMessages
from moe_lab.report import sweep_reading, sweep_tables
from moe_lab.report.outcomes import OUTCOMES
from moe_lab.store import Run, layout
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.sweep import StoredSweep
from moe_lab.sweep.begin import begin
from moe_lab.sweep.drive import Policy
from moe_lab.sweep.drive import drive as drive_sweep
from moe_lab.sweep.grid import plan

from .workload import contents, differences

ASKED = plan(["alpha=0,0.1"], seeds="2")
FIRST = ASKED.plan.runs[0].name  # it fails when it is first tried
RECORD = Path(__file__).parent / "frozen" / "schema-1" / "finished" / layout.RECORD
UNREPEATABLE = {layout.SWEEP, layout.EVENTS, layout.LOCK}


class Ready(Launcher):
    """A launcher whose runs are over as soon as they begin: each is a copy of one that lies ready, and some fail."""

    def __init__(self, folder: Path, failing: Sequence[str] = ()) -> None:
        super().__init__(Demand(jobs=1))
        self.folder, self.failing = folder, failing
        self.ends: list[Message] = []
        self.begun: list[str] = []

    @property
    def free(self) -> int:
        return 1 - len(self.ends)

    @property
    def busy(self) -> int:
        return len(self.ends)

    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        for task in tasks:
            self._start(task)
        return NO_JOBS

    def _start(self, task: Task) -> None:
        name = task.run.name
        self.begun.append(name)
        if name in self.failing:
            self.ends.append(Ended(name, "error: no memory"))
        else:
            shutil.copytree(self.folder / name, task.sweep / name)
            self.ends.append(Ended(name))

    def wait(self, timeout: float | None) -> list[Message]:
        told, self.ends = self.ends, []
        return told

    def stop(self, number: signal.Signals) -> None:
        """What has begun is over."""

    def close(self) -> None:
        """Nothing is open."""


def drive(runs: Path, disk: Disk = DISK) -> None:
    """Two sessions of the sweep, of which the second tries again what failed in the first; then its tables."""
    ready = runs.parent / "ready"
    if not ready.exists():
        _prepare(ready)
    sweep, silent = begin(ASKED, runs, disk), SweepMessages(lambda line: None)
    drive_sweep(sweep, Ready(ready, [FIRST]), silent, Policy())
    sweep = StoredSweep(sweep.directory, disk)
    drive_sweep(sweep, Ready(ready), silent, Policy(retry_failed=True))
    found = sweep_reading.read(sweep)
    sweep.write_tables(runs=sweep_tables.runs_csv(found), points=sweep_tables.to_csv(found))


def unfinished(runs: Path, golden: dict[str, bytes]) -> list[str]:
    """What is wrong with a sweep whose driver was killed: it can be read, or is not there."""
    if (runs / ASKED.name).exists():
        sweep_reading.read(StoredSweep(runs / ASKED.name))
    return []


def mended(
    runs: Path, golden: dict[str, bytes], drive: Callable[[Path], None], blank: set[str]
) -> list[str]:
    """What is wrong when the next driver has ended the sweep; a run that it begins twice is an error."""
    drive(runs)
    return differences(contents(runs, blank), golden)


def _prepare(folder: Path) -> None:
    """The runs of the plan, finished, in a new folder."""
    folder.mkdir()
    base = folder / layout.BASE
    base.write_text(ASKED.base.dump())
    for run in ASKED.plan.runs:
        settings = config.load(base, settings=run.settings).config
        whole, steps = settings.model_dump(mode="json"), {"steps": settings.train.steps}
        record = {**json.loads(RECORD.read_text()), **steps, "config": whole, "role": None}
        found = {"gap": settings.moe.alpha + settings.seed, "cv": 0.5, "verdict": "balanced"}
        outcomes = {**dict.fromkeys(OUTCOMES), "lm_loss": 1.0, **found}
        with Run.create(
            runs_dir=folder, name=run.name, exact=True, record=record, tables={}
        ) as writing:
            writing.finish({**steps, "layers": {}, "outcomes": outcomes})
