"""What starts the runs of a sweep: so many at a time, each a job of some engine, told of as it goes and ends."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from moe_lab.job.task import Message, Task

NO_JOBS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Demand:
    """What the runs of a sweep take, and how many of them are wanted at a time."""

    threads: int = 1  # of the run that has most
    device: str = "cpu"  # auto | cpu | cuda
    jobs: int | None = None  # at a time; None: as many as the engine has room for
    per_gpu: int = 1  # runs that share a GPU


class Launcher(ABC):
    """One way to have runs made, open within its block; its options are the keyword arguments of its class.

    What a run came to is read from its folder: messages tell how far it is, and that nothing works on it any more.
    All methods raise EngineError where the engine is not to be had, or has gone.
    """

    fenced = False  # whether an attempt may live on unseen by `wait`: each is given a number then

    def __init__(self, demand: Demand):
        """Raises ConfigError for what the engine cannot do, or if it is not installed; nothing is started yet."""
        self.demand = demand

    def __enter__(self) -> Self:
        """Reach the engine."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop what is still running, wait until it is saved, and leave the engine."""
        self.close()

    @property
    def places(self) -> int | None:
        """How many runs can go on at a time; None if only the engine knows."""
        return self.demand.jobs

    @property
    @abstractmethod
    def free(self) -> int:
        """How many more runs can be started."""

    @property
    @abstractmethod
    def busy(self) -> int:
        """How many are with the engine, waiting there or running."""

    @abstractmethod
    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """Begin at most `free` runs; the engine's ids for them by run, where a later driver may ask for these."""

    def adopt(self, task: Task, job: str) -> bool:
        """Take over a job that an earlier driver has started, if the engine still has it."""
        return False

    @abstractmethod
    def wait(self, timeout: float | None) -> list[Message]:
        """What there is to say, as soon as there is something or the time, in seconds, is over."""

    @abstractmethod
    def stop(self, number: signal.Signals) -> None:
        """Have every run stopped, as by a signal where the engine has these: what has begun is saved."""

    @abstractmethod
    def close(self) -> None:
        """Stop what is still running, and wait until it is saved."""
