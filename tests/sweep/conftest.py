"""Sweeps that are driven, launchers that need no processes, and a reporter that keeps what it is told."""

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moe_lab.cores import cores
from moe_lab.job.carry_out import ended
from moe_lab.job.task import Ended, Message, Task
from moe_lab.launch.base import NO_JOBS, Demand, Launcher
from moe_lab.launch.local import Local
from moe_lab.progress import Silent, SweepReporter
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.sweep import StoredSweep
from moe_lab.store.system import System
from moe_lab.sweep.drive import Policy, drive


class Told(SweepReporter):
    """Keeps what a reporter of a sweep is told."""

    def __init__(self) -> None:
        self.started: tuple[str, int, int] | None = None
        self.events: list[tuple[str, ...]] = []
        self.said: list[str] = []
        self.steps: list[int] = []

    def start(self, title: str, runs: int, finished: int) -> None:
        self.started = (title, runs, finished)

    def begun(self, run: str) -> None:
        self.events.append(("begun", run))

    def step(self, run: str, step: int, steps: int, lm_loss: float, n_eff: float | None) -> None:
        self.steps.append(step)

    def ended(self, run: str, state: str, detail: str = "") -> None:
        self.events.append((state, run))

    def say(self, text: str) -> None:
        self.said.append(text)

    def of(self, kind: str) -> list[str]:
        """The runs that something was told of."""
        return [run for happened, run in self.events if happened == kind]


class Here(Launcher):
    """In this process: a run is over as soon as it is started."""

    def __init__(self, disk: Disk = DISK, seats: int = 2) -> None:
        super().__init__(Demand(jobs=seats))
        self.disk, self.seats, self.ends = disk, seats, list[Message]()

    @property
    def free(self) -> int:
        return self.seats - len(self.ends)

    @property
    def busy(self) -> int:
        return len(self.ends)

    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        self.ends += [self.ended(task) for task in tasks]
        return NO_JOBS

    def ended(self, task: Task) -> Ended:
        return ended(task, Silent(), self.disk)

    def wait(self, timeout: float | None) -> list[Message]:
        told, self.ends = self.ends, []
        return told

    def stop(self, number: signal.Signals) -> None:
        """What has been started is over."""

    def close(self) -> None:
        """Nothing is open."""


class Endless(Launcher):
    """Does nothing until it is stopped, and keeps the signals."""

    def __init__(self) -> None:
        super().__init__(Demand(jobs=2))
        self.names, self.signals = list[str](), list[signal.Signals]()

    @property
    def free(self) -> int:
        return 2 - len(self.names)

    @property
    def busy(self) -> int:
        return len(self.names)

    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        self.names += [task.run.name for task in tasks]
        return NO_JOBS

    def wait(self, timeout: float | None) -> list[Message]:
        told, self.names = (self.names, []) if self.signals else ([], self.names)
        return [Ended(name, killed_by=self.signals[-1]) for name in told]

    def stop(self, number: signal.Signals) -> None:
        self.signals.append(number)

    def close(self) -> None:
        self.stop(signal.SIGTERM)
        while self.names:
            self.wait(None)


class Slower(System):
    """Before it gives a folder its name, another process gives that name to its own."""

    def __init__(self, name: str, other: Callable[[Path], object]) -> None:
        self.name, self.other = name, other

    def rename(self, old: Path, new: Path) -> None:
        if new.name == self.name and not new.exists():
            self.other(new)
        super().rename(old, new)


def run(sweep: StoredSweep, seats: int = 2, **policy: Any) -> tuple[int, Told]:
    """Drive a sweep to its end: the exit code, and what was told."""
    told = Told()
    again = StoredSweep(sweep.directory)
    return drive(again, Local(Demand(jobs=min(seats, cores()))), told, Policy(**policy)), told


def states(sweep: StoredSweep) -> dict[str, str]:
    return {name: found.state for name, found in StoredSweep(sweep.directory).states().items()}


def starts(sweep: StoredSweep) -> list[int]:
    """How often each run was begun."""
    logs = sorted(sweep.directory.glob("p*/events.jsonl"))
    return [path.read_text().count('"start"') for path in logs]
