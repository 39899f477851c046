"""A sweep followed until nothing is left to do or nobody does it, or drawn once."""

from pathlib import Path

from moe_lab.errors import ArtefactError
from moe_lab.plan import PlannedRun
from moe_lab.progress import SweepReporter, for_sweep
from moe_lab.progress.board import Board
from moe_lab.progress.facts import FAILED, OVER, Row
from moe_lab.progress.sweep_live import SweepView
from moe_lab.signals import StopRequest
from moe_lab.store import layout
from moe_lab.store.folders import resume_command
from moe_lab.store.lock import is_locked
from moe_lab.store.sweep import StoredSweep, is_sweep
from moe_lab.store.table_reading import last_numbers
from moe_lab.watch import picture
from moe_lab.watch.run import staying
from moe_lab.watch.tempo import Tempo


def watch_sweep(directory: Path, mode: str, *, once: bool, stop: StopRequest, tempo: Tempo) -> None:
    """Show a sweep until it ends or a stop is asked for, or `once`. Raises ArtefactError: it is damaged or gone."""
    with staying(directory, layout.SWEEP):
        watch = _Watch(directory)
        over = not watch.is_going_on()
        if once or over or mode == "plain":
            watch.draw(mode)
        if once or over:
            return
        with for_sweep(mode) as reporter:
            watch.begin(reporter)
            while not stop.asked:
                began, over = (
                    tempo.clock(),
                    not watch.is_going_on(),
                )  # asked before its runs are looked at
                watch.look(reporter)
                if over:
                    reporter.say(watch.sentence())
                    return
                tempo.rest(began, stop)


class _Watch:
    """A sweep, and where its runs were when they were last looked at."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._read_plan()
        self.rows = {run.name: row for run in self.runs if (row := self._row(run))}

    def _read_plan(self) -> None:
        """The plan, and what the driver has noted by now: runs that failed, and those that a rule has asked for."""
        self._noted = self._size_of_notes()
        self.sweep = StoredSweep(self.directory)
        self.runs = list(self.sweep.runs())

    def _size_of_notes(self) -> int:
        path = self.directory / layout.EVENTS
        return path.stat().st_size if path.exists() else 0

    def is_going_on(self) -> bool:
        """Whether a process drives the sweep, or writes one of its runs."""
        return is_locked(self.directory) or any(
            is_locked(self.sweep.run_directory(run)) for run in self._left()
        )

    def _left(self) -> list[PlannedRun]:
        """The runs that have not finished: also one that failed may be tried again."""
        return [run for run in self.runs if self._state(run) != "finished"]

    def _state(self, run: PlannedRun) -> str:
        return self.rows[run.name].state if run.name in self.rows else "pending"

    def _row(self, run: PlannedRun) -> Row | None:
        """Where a run is now; None if it has not begun."""
        found = self.sweep.state(run)
        if found.state == "pending":
            return None
        table = layout.table(self.sweep.run_directory(run), "steps")
        try:
            known = last_numbers(table, ("step", "lm_loss", "n_eff_worst"))
        except ArtefactError:  # a run that failed may have left anything, or nothing
            known = {}
        step = int(known.get("step") or 0)
        steps = int(run.settings.get("train.steps", self.sweep.base.config.train.steps))
        return Row(
            name=run.name,
            state=found.state,
            step=step,
            steps=steps if step else 0,
            before=step,
            lm_loss=known.get("lm_loss"),
            n_eff=known.get("n_eff_worst"),
            error=(found.error or "").strip().partition("\n")[0],
        )

    def begin(self, reporter: SweepReporter) -> None:
        """Tell where the sweep is."""
        rows = list(self.rows.values())
        finished = sum(row.state == "finished" for row in rows)
        reporter.start(self.sweep.name, len(self.runs), finished, rows)

    def look(self, reporter: SweepReporter) -> None:
        """Tell what has changed."""
        if self._size_of_notes() != self._noted or not is_sweep(self.directory):
            self._read_plan()
        for run in self._left():
            row, before = self._row(run), self.rows.get(run.name)
            if row is None:
                continue
            self.rows[run.name] = row
            self._tell(row, before, reporter)

    def _tell(self, row: Row, before: Row | None, reporter: SweepReporter) -> None:
        goes_on = row.state == "running" and (before is None or before.state != "running")
        if before is None or goes_on:
            reporter.begun(row.name)
        if row.lm_loss is not None and row.step != (before.step if before else 0):
            reporter.step(row.name, row.step, row.steps, row.lm_loss, row.n_eff)
        if row.state != "running" and (before is None or before.state != row.state):
            reporter.ended(row.name, row.state, row.error)

    def draw(self, mode: str) -> None:
        """Where the sweep is, once."""
        if mode in ("live", "plain"):
            board = Board()
            self.begin(board)
            picture.show(SweepView(board, passing=False), self.sentence())
            return
        with for_sweep(mode) as reporter:
            self.begin(reporter)
            reporter.say(self.sentence())

    def sentence(self) -> str:
        """How the sweep is in words, and how it goes on if nobody drives it."""
        states = [self._state(run) for run in self.runs]
        failed, command = any(state in FAILED for state in states), resume_command(self.directory)
        if self.is_going_on():
            return f"{self.directory} is running"
        if any(state not in OVER for state in states):
            return (
                f"{self.directory} is not finished, and no process drives it; go on with: {command}"
            )
        if failed:
            return f"runs of {self.directory} failed; try them again with: {command} --retry-failed"
        return f"{self.directory} is finished"
