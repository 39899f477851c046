"""A run followed until it ends, or drawn once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moe_lab.errors import ArtefactError
from moe_lab.progress import Facts, Reporter, Story, for_stderr
from moe_lab.progress.view import View
from moe_lab.report.runs import open_run
from moe_lab.signals import StopRequest
from moe_lab.store import layout
from moe_lab.store.folders import resume_command
from moe_lab.store.following import CutBack
from moe_lab.store.read import StoredRun
from moe_lab.watch import picture
from moe_lab.watch.rows import RunFollower
from moe_lab.watch.tempo import GRACE, Tempo

LOOKS = 4  # in a row that find no new step: then the run's state is read, whose lock must not be asked for often
NOTE = "Ctrl-C: stop watching"


def watch_run(directory: Path, mode: str, *, once: bool, stop: StopRequest, tempo: Tempo) -> None:
    """Show a run until it ends or a stop is asked for, or `once`. Raises ArtefactError: it is none, damaged or gone."""
    watch = _Watch(directory, stop, tempo)
    with staying(directory, layout.RECORD):
        over = watch.is_over_at_first(patient=not once)
        if once or over:
            watch.draw(mode, over=over)
            return
        if mode == "plain":
            watch.draw(mode, over=False)
        with for_stderr(mode, note=NOTE) as reporter:
            watch.follow(reporter)


class _Watch:
    """A run, and what is known of it by now."""

    def __init__(self, directory: Path, stop: StopRequest, tempo: Tempo):
        self.directory, self.stop, self.tempo = directory, stop, tempo
        self._begin()

    def _begin(self) -> None:
        """From the first row on."""
        while True:
            self.stored = open_run(self.directory)
            self.rows, self.story = RunFollower(self.stored), Story(facts(self.stored))
            try:
                self.rows.tell(self.story)
                return
            except CutBack:  # by a resume, just now
                continue

    def is_over_at_first(self, *, patient: bool) -> bool:
        """`is_over`, before anything is shown."""
        while True:
            try:
                return self.is_over(self.story, patient=patient)
            except CutBack:
                self._begin()

    def is_over(self, hearer: Story | Reporter, *, patient: bool = True) -> bool:
        """Whether nobody writes the run any more; if so, its last rows are told.

        patient: a process of another machine, whose lock may not be seen from here, is given time to write a row.
        """
        state = self.stored.state
        if state == "running":
            return False
        if state == "interrupted" and patient:
            self.tempo.wait(GRACE, self.stop)
            if self.rows.tell(hearer):
                return False
        self.rows.tell(hearer, ended=True)
        return True

    def follow(self, reporter: Reporter) -> None:
        """Tell every step until the run is over or a stop is asked for."""
        reporter.start(self.story)
        quiet = 0
        while not self.stop.asked:
            began = self.tempo.clock()
            try:
                quiet = 0 if self.rows.tell(reporter) else quiet + 1
                if quiet % LOOKS == 1 and self.is_over(reporter):
                    reporter.say(self.sentence())
                    return
            except CutBack:
                self._begin()
                reporter.say(f"it went back to step {self.story.steps_done}, and on from there")
                reporter.start(self.story)
            self.tempo.rest(began, self.stop)

    def draw(self, mode: str, *, over: bool) -> None:
        """What is known by now, once."""
        result = self.story.result
        if mode in ("live", "plain"):
            drawn = View(self.story, over=over) if result else None
            picture.show(drawn, self.sentence())
            return
        with for_stderr(mode) as reporter:
            reporter.start(self.story)
            if result:
                reporter.step(result, self.story.pace.elapsed_s)
            reporter.say(self.sentence())

    def sentence(self) -> str:
        """The state in words, and how an unfinished run goes on."""
        state, reason = self.stored.state, self.stored.status.get("reason")
        words = f"{self.directory} is {state}"
        if state == "interrupted":
            words += ": no process writes it"
        elif reason and state != "running":
            words += f": {reason}"
        if state in ("finished", "running") or self.stored.is_recorded:
            return words
        return f"{words}; go on with: {resume_command(self.directory)}"


def facts(stored: StoredRun) -> Facts:
    """What is known of a run before its first step; of somebody else's loop that is little."""
    directory, record = str(stored.directory), stored.record
    if stored.is_recorded:
        return Facts(directory, None, None, record["device"], record["threads"])
    return Facts.of(directory, stored.config, record["device"])


@contextmanager
def staying(directory: Path, name: str) -> Iterator[None]:
    """Raises ArtefactError for a folder that goes away meanwhile, whichever of its files was missed first."""
    try:
        yield
    except ArtefactError as error:
        if os.path.lexists(directory / name):
            raise
        raise ArtefactError(f"{directory} is gone: it was moved or removed") from error
