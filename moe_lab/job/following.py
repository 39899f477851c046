"""How far runs are whose engine tells nothing of it, from the tables that they write."""

import time
from collections import deque
from collections.abc import Callable, Iterable

from moe_lab.errors import ArtefactError
from moe_lab.job.task import Progress, Task
from moe_lab.store import layout
from moe_lab.store.following import CutBack, TableFollower
from moe_lab.store.read import StoredRun

PAUSE = 1.0  # seconds between two looks, at least: on a cluster each costs the file server
AT_ONCE = 50  # runs that one look is at, in turn: a sweep of thousands asks no more of the server than a small one


class Courses:
    """The courses of the runs of some tasks, read again and again while these go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._next_time = clock, 0.0
        self._turns: deque[Task] = deque()
        self._courses: dict[str, _Course] = {}

    def add(self, tasks: Iterable[Task]) -> None:
        """Follow the runs of these, too, which need not have begun."""
        self._turns.extend(tasks)

    def drop(self, run: str) -> None:
        """Follow a run no more."""
        self._turns = deque(task for task in self._turns if task.run.name != run)
        self._courses.pop(run, None)

    def news(self) -> list[Progress]:
        """The last step of each run looked at, where it is another than before."""
        if self._clock() < self._next_time:
            return []
        self._next_time = self._clock() + PAUSE
        looked_at = list(self._turns)[:AT_ONCE]
        self._turns.rotate(-len(looked_at))
        found = (self._look(task) for task in looked_at)
        return [progress for progress in found if progress]

    def _look(self, task: Task) -> Progress | None:
        """What cannot be read, or not yet, is no news: the run's state is asked for when it has ended."""
        name = task.run.name
        try:
            if name not in self._courses:
                self._courses[name] = _Course(task)
            return self._courses[name].read()
        except (ArtefactError, CutBack):
            self._courses.pop(name, None)
            return None


class _Course:
    """Raises ArtefactError while there is no run, and CutBack when it went back to a checkpoint."""

    def __init__(self, task: Task):
        directory = task.sweep / task.run.name
        self._run, self._steps = task.run.name, StoredRun(directory).steps or 0
        self._table = TableFollower(layout.table(directory, "steps"))

    def read(self) -> Progress | None:
        rows = self._table.read()
        while self._table.has_more:
            rows = self._table.read() or rows
        if not rows:
            return None
        cells = dict(zip(self._table.names, rows[-1], strict=True))
        n_eff = cells.get("n_eff_worst")
        try:
            loss = float(cells["lm_loss"])
            return Progress(
                self._run, int(cells["step"]), self._steps, loss, float(n_eff) if n_eff else None
            )
        except (KeyError, ValueError) as error:
            raise ArtefactError(f"{self._table.path} is corrupt: {error}") from error
