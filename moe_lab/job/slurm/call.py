"""A run on a node of the cluster: what submitit calls there, and what becomes of it when its time is up.

Slurm signals a job before it is preempted, and before its limit of time. The run is then saved at the end of its step,
the process leaves it, and only then the job is put back into the queue, where it keeps its id and its attempt.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from moe_lab.errors import MoeLabError
from moe_lab.job.carry_out import ended
from moe_lab.job.same_sweep import refuse_other
from moe_lab.job.slurm.folder import JobFolder, Report
from moe_lab.job.task import Ended, Task
from moe_lab.progress.base import Silent
from moe_lab.signals import StopRequest
from moe_lab.store.sweep import StoredSweep

ASK = 60.0  # seconds that Slurm may take for an answer
KILLED = "Slurm started its job again, which had been killed or had lost its node"
STOPPED = "its driver stopped it before it began"


@dataclass(frozen=True)
class Call:
    """A run, for one attempt, and where its job tells what came of it: all that a job is given."""

    task: Task
    plan: str  # of the sweep, see moe_lab.job.same_sweep
    folder: Path

    def __call__(self) -> None:
        """Make the run, or go on with it; the job comes again if it was stopped by Slurm."""
        folder = JobFolder(self.folder)
        if not folder.enter(self.task):
            # the earlier one may live: the driver gives out another number
            return folder.report(self.task, Report(how=KILLED))
        notice = Notice()
        with notice.heeded():
            came_to = self._ended(notice, folder)
        folder.leave(self.task)
        if notice.signal and not folder.stopping and came_to.error is None and self._is_left():
            if not _is_running():  # Slurm is ending it, or starts it again itself
                return None
            came_to = Ended(self.task.run.name, how=f"Slurm put it not back: {requeued()}")
        return folder.report(self.task, Report.of(came_to))

    def checkpoint(self) -> Any:
        """What submitit starts when the job comes again: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _ended(self, notice: "Notice", folder: JobFolder) -> Ended:
        if folder.stopping:
            return Ended(self.task.run.name, how=STOPPED)
        try:
            refuse_other(self.task.sweep, self.plan)
        except MoeLabError as refusal:
            return Ended(self.task.run.name, refusal.render())
        return ended(self.task, Silent(), stop=notice)

    def _is_left(self) -> bool:
        return StoredSweep(self.task.sweep).state(self.task.run).state != "finished"


def preemption() -> signal.Signals:
    """The signal before a limit of time, which submitit lets a user choose."""
    from submitit import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]


class Notice(StopRequest):
    """What Slurm sends to a job, as often as it comes: heeded from before torch is imported until the run is left.

    Slurm repeats its signals, and kills when it is tired of waiting: so none of them ends a save half done.
    """

    def __enter__(self) -> "Notice":
        return self

    def __exit__(self, *exception: object) -> None:
        """Still heeded: the run is being left."""

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Within the block; after it, submitit heeds them as before."""
        numbers = (signal.SIGTERM, preemption())
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)


def requeued() -> str:
    """Have submitit put the job back, which ends this process. Returns only why it could not."""
    try:
        signal.raise_signal(preemption())
    except Exception as refusal:  # of scontrol, or submitit's own
        return str(refusal)
    return "submitit did not heed its signal"


def _is_running() -> bool:
    """Whether the job is Slurm's to put back: one that is cancelled would come back from the dead."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:  # submitit's local executor
        return True
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK, check=True)
    except (OSError, subprocess.SubprocessError):
        return True  # scontrol will tell
    return done.stdout.strip() == "RUNNING"
