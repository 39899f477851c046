"""The private folder of the jobs that a driver has given to Slurm: scripts, logs, and what jobs and driver tell there.

Nothing but small JSON files and the names of empty ones is read. What submitit pickles there, its jobs alone load.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from moe_lab.errors import ArtefactError, EngineError
from moe_lab.job.task import Ended, Task
from moe_lab.store import files
from moe_lab.store.disk import DISK
from moe_lab.store.folders import refuse_foreign

ENDED = "ended"  # there: what each job says in the end
HERE = "here"  # there: an empty file for each job that has a run open
HIDDEN = ".slurm"  # in the folder of runs: on the disk that the nodes share
STOP = "stop"  # there: the driver wants the jobs to end, and not to come again
_TOKEN = re.compile(r"[0-9a-f]{16}")
_REPORT = re.compile(r"(\d+)-(.+)\.json")


class Report(BaseModel):
    """What a job says in the end: whether its run has finished, the run's folder tells."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    error: str | None = None
    in_use: bool = False
    how: str | None = None  # why a job is over whose run could go on

    @classmethod
    def of(cls, ended: Ended) -> "Report":
        """Of a run that was carried out."""
        return cls(error=ended.error, in_use=ended.in_use, how=ended.how)

    def ended(self, run: str) -> Ended:
        """The same, as a driver is told it."""
        return Ended(run, self.error, in_use=self.in_use, how=self.how)


class JobFolder:
    """One folder, for the jobs of one session of a sweep's driver."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def create(cls, sweep: Path) -> "JobFolder":
        """A new one, of mode 0700. Raises StorageError, also if somebody else could have put something there.

        Raises EngineError for a path that a batch script cannot have.
        """
        path = _above(sweep) / secrets.token_hex(8)
        if not str(path).isprintable() or set(str(path)) & set("%\\"):
            raise EngineError(
                f"Slurm cannot have its scripts in {path}",
                help="choose a --runs-dir and a --name without %, \\ and letters that are not shown",
            )
        for folder in (path.parent.parent, path.parent, path, path / ENDED, path / HERE):
            DISK.make_folder(folder)
            refuse_foreign(folder)
        return cls(path)

    @classmethod
    def of(cls, sweep: Path, token: str) -> "JobFolder | None":
        """The one that an earlier driver has made, if it is still there."""
        path = _above(sweep) / token
        return cls(path) if _TOKEN.fullmatch(token) and path.is_dir() else None

    @property
    def token(self) -> str:
        """What tells it from every other."""
        return self.path.name

    @property
    def title(self) -> str:
        """What its jobs are called in Slurm's queue: no other sweep's, nor another cluster's, are called so."""
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", self.path.parent.name)
        return f"{name[:40]}-{self.token}"

    def log(self, job: str) -> Path:
        """What a job has printed, by its id."""
        return self.path / f"{job}_0_log.out"

    @property
    def stopping(self) -> bool:
        """Whether the driver wants the jobs to end, and not to come again."""
        return (self.path / STOP).exists()

    def stop(self) -> None:
        """The driver wants them to end."""
        DISK.replace(self.path / STOP, b"")

    def enter(self, task: Task) -> bool:
        """A job begins; False if it has begun before and has not left: it was killed, or lives on another node."""
        try:
            os.close(os.open(self._here(task), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def leave(self, task: Task) -> None:
        """The job touches its run no more."""
        DISK.discard(self._here(task))

    def report(self, task: Task, report: Report) -> None:
        """What the job has come to; after that it comes not again."""
        DISK.replace_json(self.path / ENDED / f"{_name(task)}.json", report.model_dump(mode="json"))

    def reports(self) -> Iterator[tuple[str, int, Report]]:
        """Run, attempt and report of every job that has reported since the last call."""
        for path in files.entries(self.path / ENDED):
            if match := _REPORT.fullmatch(path.name):
                with suppress(ArtefactError, ValueError):  # then the queue tells that it is over
                    yield match[2], int(match[1]), Report.model_validate(files.read_json(path))
                DISK.discard(path)

    @staticmethod
    def remove_all(sweep: Path) -> None:
        """Those of all drivers of a sweep, and the one above if no other sweep has any."""
        DISK.abandon(_above(sweep))
        with suppress(OSError):  # not empty
            _above(sweep).parent.rmdir()

    def _here(self, task: Task) -> Path:
        return self.path / HERE / _name(task)


def _name(task: Task) -> str:
    return f"{task.attempt}-{task.run.name}"


def _above(sweep: Path) -> Path:
    """What holds the folders of a sweep's drivers."""
    return sweep.absolute().parent / HIDDEN / sweep.absolute().name
