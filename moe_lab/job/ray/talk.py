"""What the driver of a sweep and its client of Ray say to each other; what became of a task is `Ended`, as ever."""

from dataclasses import dataclass

from moe_lab.job.task import Task


@dataclass(frozen=True)
class Wanted:
    """A cluster to connect to, or one to start here; and what each run takes of it."""

    address: str | None
    cpus: int  # of a cluster that is started
    threads: int
    device: str
    per_gpu: int


@dataclass(frozen=True)
class Room:
    """How many runs the nodes that are there have room for."""

    seats: int


@dataclass(frozen=True)
class Lost:
    """The last that a client says: why it cannot go on."""

    why: str


@dataclass(frozen=True)
class Start:
    """A task for the cluster; plan: as `same_sweep.plan_of` has it."""

    task: Task
    plan: str


@dataclass(frozen=True)
class Stop:
    """Every run is to be saved, and those that wait are taken back."""
