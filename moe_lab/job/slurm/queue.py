"""What Slurm's queue says of a user's jobs: asked for in the background, all at once and not too often.

squeue, for it works without accounting, which sacct does not; it knows a job for minutes after its end.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from moe_lab.errors import EngineError

SQUEUE = ("squeue", "--me", "--states=all", "--array", "--noheader", "--format=%i|%T|%j")
FINAL = frozenset(  # what a job does not come back from, unless Slurm starts it again: it has the same id then
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
GO_ON = "its jobs go on, and --launcher slurm takes them over"
LONGEST = 60.0  # seconds that it may take

Clock = Callable[[], float]


@dataclass(frozen=True)
class Queued:
    """A job in the queue."""

    state: str
    name: str


Jobs = Mapping[str, Queued]  # by id: 17, or 17_4 in an array


class Queue:
    """The queue, looked at every `pause` seconds; its controller may be away for `patience` seconds."""

    def __init__(self, pause: float, patience: float, clock: Clock = time.monotonic):
        self._pause, self._patience, self._clock = pause, patience, clock
        self._next = clock()
        self._asking: _Asking | None = None
        self._away_since: float | None = None
        self.news: list[str] = []  # what a person should know, to be taken away

    def look(self, *, soon: bool = False) -> Jobs | None:
        """What the queue says, when it has just said something. Raises EngineError if it was away for too long.

        soon: without delay, for something was done to the jobs.
        """
        if soon:
            self._asking, self._next = None, self._clock()
        if self._asking is None and self._clock() >= self._next:
            self._asking = _Asking()
        if self._asking is None or self._asking.answer is None:
            return None
        answer = self._asking.answer
        self._asking, self._next = None, self._clock() + self._pause
        if isinstance(answer, EngineError):
            self._bear(answer)
            return None
        if self._away_since is not None:
            self._away_since = None
            self.news.append("Slurm answers again")
        return parsed(answer)

    def _bear(self, error: EngineError) -> None:
        if self._away_since is None:
            self._away_since = self._clock()
            minutes = self._patience / 60
            self.news.append(f"{error}; it may be away for {minutes:g} minutes, the jobs go on")
        elif self._clock() - self._away_since > self._patience:
            raise EngineError(str(error), help=GO_ON)


def parsed(text: str) -> Jobs:
    """The lines of SQUEUE; what is not one of them is passed over."""
    rows = (line.strip().split("|", 2) for line in text.splitlines())
    return {row[0]: Queued(row[1], row[2]) for row in rows if len(row) == 3}


def ask() -> str:
    """What SQUEUE says. Raises EngineError if that is nothing."""
    try:
        done = subprocess.run(
            SQUEUE,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
            start_new_session=True,  # Ctrl-C is not for it
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"Slurm does not answer: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["squeue says nothing"]
        raise EngineError(f"Slurm does not answer: {said[-1]}")
    return done.stdout


class _Asking:
    """One `ask`, going on in a thread that nobody has to wait for."""

    def __init__(self) -> None:
        self.answer: str | EngineError | None = None  # None: there is none yet
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        try:
            self.answer = ask()
        except EngineError as error:
            self.answer = error
