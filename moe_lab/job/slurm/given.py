"""The jobs that a driver has given to a cluster, or taken over from an earlier one, until each is over."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from moe_lab.job.following import PAUSE
from moe_lab.job.slurm.folder import JobFolder
from moe_lab.job.slurm.queue import FINAL
from moe_lab.job.task import Ended, Task

MISSED = 2  # looks at the queue without a job: one may be taken while Slurm starts it again
NOT_THERE = ""  # the state of a job that the queue does not know


@dataclass
class Job:
    """One of them."""

    id: str
    task: Task
    folder: JobFolder
    begun: bool = False  # as far as the queue has told
    missed: int = 0


class Given:
    """All of them, by run."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._next = 0.0
        self.all_ids: set[str] = set()  # of those that are over, too

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def ids(self) -> list[str]:
        """Of those that are not over."""
        return [job.id for job in self._jobs.values()]

    @property
    def folders(self) -> list[JobFolder]:
        """Of those that are not over."""
        return list({job.folder.path: job.folder for job in self._jobs.values()}.values())

    def add(self, job: Job) -> None:
        """One more; a run has one at a time."""
        self._jobs[job.task.run.name] = job
        self.all_ids.add(job.id)

    def reported(self) -> list[Ended]:
        """The ends of those that have told of theirs."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + PAUSE
        found = [report for folder in self.folders for report in folder.reports()]
        return [
            self._over(self._jobs[run], report.ended(run))
            for run, attempt, report in found
            if run in self._jobs and self._jobs[run].task.attempt == attempt
        ]

    def begun(self, states: Mapping[str, str]) -> list[Task]:
        """Those that have got a node since the last call."""
        new = [j for j in self._jobs.values() if states.get(j.id) == "RUNNING" and not j.begun]
        for job in new:
            job.begun = True
        return [job.task for job in new]

    def vanished(self, states: Mapping[str, str], missed: int = MISSED) -> list[Ended]:
        """The ends of those that so many looks at the queue have not found, and that have told nothing."""
        for job in self._jobs.values():
            job.missed = job.missed + 1 if is_over(states, job.id) else 0
        gone = [job for job in self._jobs.values() if job.missed >= missed]
        return [self._over(job, _silent(job, states.get(job.id, NOT_THERE))) for job in gone]

    def _over(self, job: Job, message: Ended) -> Ended:
        del self._jobs[job.task.run.name]
        if message.error:
            return replace(message, error=f"{message.error}\n  log: {job.folder.log(job.id)}")
        return message


def is_over(states: Mapping[str, str], job: str) -> bool:
    """Whether a job does not come back, as far as the queue knows."""
    return states.get(job, NOT_THERE) in FINAL | {NOT_THERE}


def _silent(job: Job, state: str) -> Ended:
    log = job.folder.log(job.id)
    seen = (
        f"its log: {log}" if log.exists() else f"and has no log: does its node reach {log.parent}?"
    )
    known = f"is {state}" if state else "is not in the queue any more"
    return Ended(job.task.run.name, how=f"job {job.id} {known}, and told nothing; {seen}")
