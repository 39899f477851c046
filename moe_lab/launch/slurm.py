"""Runs as jobs of Slurm, in arrays: submitit writes the scripts and puts back what was preempted, squeue tells of them.

A job is over when it has said so in its folder, or when the queue knows it no more; what it came to is read from the
folder of its run. Jobs outlive their driver: the next one takes them over.
"""

import math
import signal
import sys
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Le

from moe_lab.errors import ConfigError, EngineError
from moe_lab.job.following import Courses
from moe_lab.job.same_sweep import plan_of
from moe_lab.job.slurm.asked import Asked, asked
from moe_lab.job.slurm.call import Call
from moe_lab.job.slurm.cluster import Cluster, LocalCluster, Needs, SlurmCluster
from moe_lab.job.slurm.folder import JobFolder
from moe_lab.job.slurm.given import MISSED, Given, Job, is_over
from moe_lab.job.slurm.queue import GO_ON, Queue
from moe_lab.job.task import Message, Note, Task
from moe_lab.launch.base import Demand, Launcher
from moe_lab.launch.local import seats
from moe_lab.store.sweep import StoredSweep

PAUSE = 0.1  # seconds between two looks for news
SETTLED = 60.0  # seconds in which jobs that have told of their end are to be out of the queue


class Slurm(Launcher):
    """Options are those of sbatch, and: array_size: jobs of an array, at most; signal_before: seconds before the
    limit of time at which a run is saved; poll: seconds between two looks at the queue; patience: minutes that Slurm
    may give no answer; cluster: local tries it all out without Slurm.
    """

    fenced = True

    def __init__(
        self,
        demand: Demand,
        *,
        partition: str | None = None,
        time: str = "01:00:00",
        mem: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        gres: str | None = None,
        array_size: Annotated[int, Ge(1), Le(100000)] = 1000,
        signal_before: Annotated[int, Ge(1), Le(65535)] = 120,
        poll: Annotated[float, Gt(0)] = 10.0,
        patience: Annotated[float, Gt(0)] = 30.0,
        cluster: Literal["slurm", "local"] = "slurm",
    ):
        super().__init__(demand)
        _refuse(demand)
        site = {"partition": partition, "mem": mem, "account": account, "qos": qos}
        request = asked(time, signal_before, {**site, "constraint": constraint, "gres": gres})
        self._array_size, self._grace = array_size, signal_before
        self._cluster = CLUSTERS[cluster](demand, request, array_size, Queue(poll, 60 * patience))
        self._given, self._courses = Given(), Courses()
        self._folder: JobFolder | None = None  # of this driver's jobs
        self._sweep: Path | None = None
        self._stopped: float | None = None  # when
        self._refused: EngineError | None = None

    def __enter__(self) -> Self:
        self._cluster.reach()
        return self

    def __exit__(self, *exception: object) -> None:
        """Where Slurm itself is gone, or refuses, its jobs go on: the next driver takes them over."""
        if not isinstance(exception[1], EngineError):
            self.close()

    @property
    def places(self) -> int | None:  # noqa: D102
        return self._cluster.places

    @property
    def free(self) -> int:  # noqa: D102
        return max(0, self._cluster.most - self.busy)

    @property
    def busy(self) -> int:  # noqa: D102
        return len(self._given)

    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """In arrays. If one is refused when others were taken, `wait` raises it: the driver notes these first."""
        sweep = tasks[0].sweep.absolute()
        folder = self._folder = self._folder or JobFolder.create(sweep)
        plan, begun = plan_of(sweep), dict[str, str]()
        chunks = [tasks[i : i + self._array_size] for i in range(0, len(tasks), self._array_size)]
        for chunk, at_once in zip(chunks, shares(self.places, chunks), strict=True):
            calls = [Call(replace(task, sweep=sweep), plan, folder.path) for task in chunk]
            try:
                ids = self._cluster.submit(calls, folder, at_once)
            except EngineError as refusal:
                self._refused = EngineError(str(refusal), help=GO_ON if begun else None)
                break
            for task, job in zip(chunk, ids, strict=True):
                self._follow(Job(job, task, folder))
                begun[task.run.name] = f"{job}@{folder.token}"
        return begun

    def adopt(self, task: Task, job: str) -> bool:  # noqa: D102
        number, _, token = job.partition("@")
        folder = JobFolder.of(task.sweep, token)
        if folder is None or folder.stopping or not self._cluster.has(number, folder.title):
            return False
        self._follow(Job(number, task, folder))
        return True

    def _follow(self, job: Job) -> None:
        self._sweep = job.task.sweep
        self._given.add(job)

    def wait(self, timeout: float | None) -> list[Message]:  # noqa: D102
        until = math.inf if timeout is None else clock.monotonic() + timeout
        while not (found := self._news()) and (timeout is not None or self.busy):
            rest = until - clock.monotonic()
            if rest <= 0:
                break
            clock.sleep(min(PAUSE, rest))
        return found

    def _news(self) -> list[Message]:
        if self._refused:
            raise self._refused
        if self._stopped is not None and clock.monotonic() > self._stopped + self._grace:
            self._stopped = clock.monotonic()
            self._cluster.kill(self._given.ids)
        ends, states = self._given.reported(), self._cluster.look()
        if states is not None:
            self._courses.add(self._given.begun(states))
            ends += self._given.vanished(states, MISSED if self._stopped is None else 1)
        for end in ends:
            self._courses.drop(end.run)
        return [*map(Note, self._cluster.news()), *ends, *self._courses.news()]

    def stop(self, number: signal.Signals) -> None:
        """Without haste; what has not ended after signal_before is cancelled, which Slurm does by force."""
        self._stopped = clock.monotonic()
        for folder in self._given.folders:
            folder.stop()
        self._cluster.end(self._given.ids)
        self._cluster.look(soon=True)

    def close(self) -> None:  # noqa: D102
        if self.busy and self._stopped is None:
            self.stop(signal.SIGTERM)
        while self.busy:
            self.wait(None)
        if self._sweep and _is_whole(self._sweep):
            self._settle()
            JobFolder.remove_all(self._sweep)

    def _settle(self) -> None:
        """Wait until the jobs have left their folder, too; else they would leave it with an error."""
        until, states = clock.monotonic() + SETTLED, self._cluster.look(soon=True)
        while states is None or not all(is_over(states, job) for job in self._given.all_ids):
            if clock.monotonic() > until:
                break
            clock.sleep(PAUSE)
            states = self._cluster.look()


def _is_whole(sweep: Path) -> bool:
    return all(found.state == "finished" for found in StoredSweep(sweep).states().values())


def _refuse(demand: Demand) -> None:
    """Raises ConfigError for what no job can have."""
    if find_spec("submitit") is None:
        raise ConfigError(
            "--launcher slurm needs the package submitit", help="pip install 'moe-lab[slurm]'"
        )
    if demand.per_gpu > 1:
        raise ConfigError(
            f"--jobs-per-gpu {demand.per_gpu}: a job of Slurm has a GPU of its own",
            help="leave it out",
        )


def shares(places: int | None, chunks: Sequence[Sequence[Task]]) -> list[int]:
    """How many jobs of each array may run at a time: together as many as there are places, one of each at least."""
    if places is None:
        return [len(chunk) for chunk in chunks]
    each, more = divmod(places, len(chunks))
    return [max(1, each + (index < more)) for index in range(len(chunks))]


def _slurm(demand: Demand, request: Asked, array_size: int, queue: Queue) -> Cluster:
    most = demand.jobs * array_size if demand.jobs else sys.maxsize
    return SlurmCluster(request, _needs(demand, request), demand.jobs, most, queue)


def _local(demand: Demand, request: Asked, array_size: int, queue: Queue) -> Cluster:
    places = seats(demand.jobs, demand.threads)
    return LocalCluster(request, _needs(demand, request), places)


def _needs(demand: Demand, request: Asked) -> Needs:
    """A GPU, unless the user has asked for it in other words."""
    gpus = int(demand.device == "cuda" and "gpu" not in request.site.get("gres", ""))
    return Needs(demand.threads, gpus)


CLUSTERS = {"slurm": _slurm, "local": _local}
