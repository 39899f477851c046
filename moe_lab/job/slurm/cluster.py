"""Where jobs go: Slurm itself by its commands, or submitit's processes on this machine, to try it all out."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from moe_lab.errors import EngineError
from moe_lab.job.slurm.asked import Asked
from moe_lab.job.slurm.call import Call
from moe_lab.job.slurm.folder import JobFolder
from moe_lab.job.slurm.queue import FINAL, Queue, ask, parsed
from moe_lab.job.starting import blocked_signals, limited_threads

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun")  # submitit needs the last two
TIMES = 1_000_000  # that a job may come again: it never has to end because of it
AT_ONCE = 500  # ids in one command line
TERMINAL = (signal.SIGINT, signal.SIGHUP)  # of the driver, which sees to its jobs


@dataclass(frozen=True)
class Needs:
    """What each job takes."""

    threads: int
    gpus: int


class Cluster(ABC):
    """What takes jobs. All methods raise EngineError where it is not to be had, or has gone."""

    def __init__(self, asked: Asked, needs: Needs, places: int | None, most: int):
        self._asked, self._needs = asked, needs
        self.places, self.most = places, most  # jobs that run at a time, and that are taken

    @abstractmethod
    def reach(self) -> None:
        """See that it is there."""

    def has(self, job: str, title: str) -> bool:
        """Whether it had a job that was called so, when it was reached."""
        return False

    def submit(self, calls: Sequence[Call], folder: JobFolder, at_once: int) -> dict[str, Any]:
        """Give it a job for each of these, of which so many may run at a time: submitit's, in order, by id."""
        executor = self._executor(folder, at_once)
        with _inherited(self._needs.threads):
            try:
                return {str(job.job_id): job for job in executor.submit_array(calls)}
            except (RuntimeError, OSError) as refusal:  # submitit's are RuntimeErrors
                raise EngineError(f"the jobs were refused: {refusal}") from refusal

    @abstractmethod
    def _executor(self, folder: JobFolder, at_once: int) -> Any:
        """Submitit's, ready to submit."""

    @abstractmethod
    def look(self, *, soon: bool = False) -> Mapping[str, str] | None:
        """The state of each job that is known, by id, when there is something new; soon: without delay."""

    @abstractmethod
    def end(self, jobs: Collection[str]) -> None:
        """Have the jobs saved and ended. What this cannot do, the next look shows."""

    def kill(self, jobs: Collection[str]) -> None:
        """End those that have not heeded that."""
        self.end(jobs)

    def news(self) -> list[str]:
        """What a person should know, once."""
        return []


class SlurmCluster(Cluster):
    """Slurm, from where its commands are."""

    def __init__(self, asked: Asked, needs: Needs, places: int | None, most: int, queue: Queue):
        super().__init__(asked, needs, places, most)
        self._queue = queue

    def reach(self) -> None:  # noqa: D102
        missing = [name for name in COMMANDS if shutil.which(name) is None]
        if missing:
            raise EngineError(
                f"Slurm is not here: there is no {', '.join(missing)} on the PATH",
                help="go where its commands are, a login node, or try it with --launcher-opt cluster=local",
            )
        self._found = parsed(ask())

    def has(self, job: str, title: str) -> bool:  # noqa: D102
        found = self._found.get(job)
        return found is not None and found.name == title and found.state not in FINAL

    def _executor(self, folder: JobFolder, at_once: int) -> Any:
        import submitit

        executor = submitit.SlurmExecutor(folder.path, max_num_timeout=TIMES)
        executor.update_parameters(
            **self._asked.site,
            **({"gpus_per_node": self._needs.gpus} if self._needs.gpus else {}),
            job_name=folder.title,
            time=self._asked.minutes,
            cpus_per_task=self._needs.threads,
            signal_delay_s=self._asked.signal_before,
            array_parallelism=at_once,
            stderr_to_stdout=True,
            wckey=None,  # submitit's own, which a site need not know
            additional_parameters={"requeue": True},
        )
        return executor

    def look(self, *, soon: bool = False) -> Mapping[str, str] | None:  # noqa: D102
        found = self._queue.look(soon=soon)
        return None if found is None else {job: queued.state for job, queued in found.items()}

    def end(self, jobs: Collection[str]) -> None:
        """Without haste: what waits is cancelled, what runs is only told, and may take longer than Slurm's KillWait."""
        _scancel(jobs, "--state=PENDING")
        _scancel(jobs, "--signal=TERM")

    def kill(self, jobs: Collection[str]) -> None:  # noqa: D102
        _scancel(jobs)

    def news(self) -> list[str]:  # noqa: D102
        told, self._queue.news = self._queue.news, []
        return told


class LocalCluster(Cluster):
    """Submitit's own processes here: each job has one that watches over it."""

    def __init__(self, asked: Asked, needs: Needs, places: int):
        super().__init__(asked, needs, places, places)
        self._jobs: dict[str, Any] = {}

    def reach(self) -> None:
        """It is here."""

    def submit(self, calls: Sequence[Call], folder: JobFolder, at_once: int) -> dict[str, Any]:  # noqa: D102
        given = super().submit(calls, folder, at_once)
        self._jobs |= given
        return given

    def _executor(self, folder: JobFolder, at_once: int) -> Any:
        import submitit

        executor = submitit.LocalExecutor(folder.path, max_num_timeout=TIMES)
        executor.update_parameters(
            timeout_min=self._asked.minutes,
            signal_delay_s=self._asked.signal_before,
            gpus_per_node=self._needs.gpus,
            stderr_to_stdout=True,
        )
        return executor

    def look(self, *, soon: bool = False) -> Mapping[str, str] | None:  # noqa: D102
        self._jobs = {job: watched for job, watched in self._jobs.items() if not watched.done()}
        return dict.fromkeys(self._jobs, "RUNNING")

    def end(self, jobs: Collection[str]) -> None:  # noqa: D102
        for job in set(jobs) & set(self._jobs):
            if not self._jobs[job].done():  # else its number may be another process's by now
                os.kill(int(job), signal.SIGTERM)


@contextmanager
def _inherited(threads: int) -> Iterator[None]:
    """What jobs and commands start with. What submitit prints of a refusal is in its error, too."""
    with (
        limited_threads(threads),
        blocked_signals(TERMINAL),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield


def _scancel(jobs: Collection[str], *options: str) -> None:
    """The arrays of jobs, whole: all in one has the same fate."""
    arrays = sorted({job.partition("_")[0] for job in jobs})
    for first in range(0, len(arrays), AT_ONCE):
        command = ["scancel", *options, *arrays[first : first + AT_ONCE]]
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                command, capture_output=True, timeout=60, check=False, start_new_session=True
            )
