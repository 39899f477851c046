"""Sweeps that are driven, and a reporter that keeps what it is told."""

from typing import Any

from moe_lab.launch.local import Crew
from moe_lab.progress import SweepReporter
from moe_lab.store.sweep import StoredSweep
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


def run(sweep: StoredSweep, seats: int = 2, **policy: Any) -> tuple[int, Told]:
    """Drive a sweep to its end: the exit code, and what was told."""
    told = Told()
    again = StoredSweep(sweep.directory)
    return drive(again, Crew(seats, threads=1), told, Policy(**policy)), told
