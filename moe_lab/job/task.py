"""What a driver asks for, and what it is told."""

from dataclasses import dataclass
from pathlib import Path

from moe_lab.plan import PlannedRun


@dataclass(frozen=True)
class Task:
    """One run to be made, or to be gone on with if its folder exists."""

    sweep: Path  # the folder of the sweep
    run: PlannedRun
    attempt: int | None = None  # by number, where an earlier one may live on unseen


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    run: str
    step: int
    steps: int
    lm_loss: float
    n_eff: float | None  # of the worst layer


@dataclass(frozen=True)
class Ended:
    """A process is gone. Whether its run has finished, the run's folder tells."""

    run: str
    error: str | None = None  # as it would be printed
    killed_by: int | None = None  # a signal's number
    in_use: bool = False  # another process was writing the run
    how: str | None = None  # what an engine knows of a process that said nothing


@dataclass(frozen=True)
class Note:
    """What a person should know of the engine."""

    text: str


Message = Progress | Ended | Note
