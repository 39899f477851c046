"""The driver of a sweep: starts what is missing, keeps the machine busy, and survives what its runs do not."""

import signal
import time
from collections import Counter, deque
from dataclasses import dataclass

from moe_lab.errors import EngineError
from moe_lab.job.task import Ended, Message, Note, Progress, Task
from moe_lab.launch.base import Launcher
from moe_lab.plan import PlannedRun
from moe_lab.progress.sweeps import SweepReporter
from moe_lab.signals import StopRequest
from moe_lab.store.attempts import Attempts
from moe_lab.store.events import append_event, cut_torn_event
from moe_lab.store.folders import clear_staging, resume_command
from moe_lab.store.lock import Lock
from moe_lab.store.sweep import FAILURES, StoredSweep

FAILED = 7  # exit code
POLL = 0.25  # seconds between looks at what no process tells
INSTANT = 5.0  # seconds: what fails sooner says something about the environment
IDENTICAL = 3  # such failures in a row, of one error, end the sweep


@dataclass(frozen=True)
class Policy:
    """What is done about runs that fail, and when to stop."""

    retries: int = 1  # times that a killed run is gone on with
    retry_failed: bool = False  # whether those that have failed before are tried again
    fail_fast: bool = False  # whether the first failure ends the sweep
    max_minutes: float | None = None  # after which the runs are saved and the sweep ends


def drive(sweep: StoredSweep, launcher: Launcher, reporter: SweepReporter, policy: Policy) -> int:
    """Run what a sweep lacks. The exit code: 0, 7 if a run has failed, or that of what stopped it.

    Raises StorageError if another process drives it, or if the disk refuses; the runs are saved as far as it lets them.
    Raises EngineError if the launcher's engine is not to be had or goes: then plan and runs are as they were left.
    """
    lock = Lock(sweep.directory, sweep.disk)
    try:
        cut_torn_event(sweep.disk, sweep.directory)
        clear_staging(sweep.directory, sweep.disk)
        with launcher:
            return _Drive(sweep, launcher, reporter, policy).run()
    except EngineError as error:
        go_on = f"the sweep is kept; go on with: {resume_command(sweep.directory)}"
        advice = "; ".join(filter(None, (error.problems[0].help, go_on)))
        raise EngineError(str(error), help=advice) from error
    finally:
        lock.close()


class _Drive:
    """One session of a sweep. What it knows of a run that has ended, it reads from the run's folder."""

    def __init__(
        self, sweep: StoredSweep, launcher: Launcher, reporter: SweepReporter, policy: Policy
    ) -> None:
        self.sweep, self.launcher, self.reporter, self.policy = sweep, launcher, reporter, policy
        self.attempts = Attempts(sweep.directory, sweep.disk)
        self.runs: dict[str, PlannedRun] = {}
        self.waiting: deque[PlannedRun] = deque()
        self.elsewhere: set[str] = set()  # another process writes them: never begun meanwhile
        self.finished = 0  # how many
        self.failed: set[str] = set()
        self.deaths: Counter[str] = Counter()
        self.began: dict[str, float] = {}
        self.instant: list[str] = []  # errors of the last runs, while each failed at once
        self.halted = False

    def run(self) -> int:
        """Until nothing is left to do, or a stop."""
        self._take_stock()
        with StopRequest(self.policy.max_minutes) as stop:
            while self.waiting or self.elsewhere or self.launcher.busy:
                self._fill()
                for message in self.launcher.wait(POLL):
                    self._hear(message)
                self._look_elsewhere()
                if stop.asked and not self.halted:
                    self._halt(
                        stop.signal or signal.SIGTERM, f"{stop.reason}: runs are being saved"
                    )
        self._event("end", finished=self.finished, failed=len(self.failed))
        if stop.asked and self.finished + len(self.failed) < len(self.runs):
            return stop.exit_code
        return FAILED if self.failed else 0

    def _take_stock(self) -> None:
        """Sort every run by where it is: nothing that has finished is ever begun again."""
        states = self.sweep.states()
        self.runs = {name: found.run for name, found in states.items()}
        adopted = list[str]()
        for name, found in states.items():
            if found.state == "finished":
                self.finished += 1
            elif self._adopted(found.run):
                adopted.append(name)
            elif found.state == "running":
                self.elsewhere.add(name)
            elif found.state in FAILURES and not self.policy.retry_failed:
                self.failed.add(name)
            else:
                self.waiting.append(found.run)
        self._event("start", finished=self.finished, runs=len(states))
        self.reporter.start(self.sweep.name, len(states), self.finished)
        for name in adopted:
            self.reporter.begun(name)
        for name in sorted(self.failed):
            self.reporter.ended(name, states[name].state, states[name].error or "")
        if self.policy.retry_failed:
            self._make_room()

    def _adopted(self, run: PlannedRun) -> bool:
        """Whether the engine still has the job that an earlier driver has started for a run."""
        job = self.attempts.job(run.name)
        return job is not None and self.launcher.adopt(self._task(run), job)

    def _make_room(self) -> None:
        """What lies in the way of a run, damaged or another's, is set aside."""
        for run in self.waiting:
            directory = self.sweep.run_directory(run)
            if directory.exists() and (reason := self.sweep.damage(run)):
                aside = self.sweep.set_aside(run, reason)
                self.reporter.say(
                    f"{run.name} begins anew; what was there is now {aside}: {reason}"
                )

    def _event(self, kind: str, **details: int) -> None:
        append_event(self.sweep.disk, self.sweep.directory, kind, **details)

    def _fill(self) -> None:
        """Runs that are going on elsewhere use the machine, too."""
        room = self.launcher.free - len(self.elsewhere)
        tasks = [self._begun(self.waiting.popleft()) for _ in range(min(room, len(self.waiting)))]
        if tasks:
            for name, job in self.launcher.start(tasks).items():
                self.attempts.note_job(name, job)

    def _begun(self, run: PlannedRun) -> Task:
        self.began[run.name] = time.monotonic()
        self.reporter.begun(run.name)
        if self.launcher.fenced or self.attempts.number(run.name):  # or one may live on elsewhere
            self.attempts.begin(run.name)
        return self._task(run)

    def _task(self, run: PlannedRun) -> Task:
        return Task(self.sweep.directory, run, self.attempts.number(run.name) or None)

    def _hear(self, message: Message) -> None:
        if isinstance(message, Progress):
            self.reporter.step(
                message.run, message.step, message.steps, message.lm_loss, message.n_eff
            )
        elif isinstance(message, Note):
            self.reporter.say(message.text)
        else:
            self._ended(message)

    def _ended(self, message: Ended) -> None:
        run = self.runs[message.run]
        found = self.sweep.state(run)
        if found.state == "finished":
            self._finished(run)
        elif found.state == "running" or message.in_use:  # of a driver that was killed
            self.elsewhere.add(run.name)
        elif found.state in FAILURES or (found.state == "pending" and message.error):
            self._fail(run, found.state, message.error or found.error or "unknown error")
        elif self.halted:
            begun = found.state != "pending"  # else it had no folder yet, and nothing to save
            self.reporter.ended(run.name, found.state if begun else "stopped")
        else:
            self._died(run, message.error or message.how or _killed(message.killed_by))

    def _finished(self, run: PlannedRun) -> None:
        self.instant.clear()
        self.finished += 1
        self.reporter.ended(run.name, "finished")
        if self.sweep.plan.rule and not self.halted:  # it may now ask for another run
            for asked in self.sweep.chain(run.seed).runs:
                if asked.name not in self.runs:
                    self.runs[asked.name] = asked
                    self.waiting.append(asked)

    def _died(self, run: PlannedRun, error: str) -> None:
        """A run that was killed goes on from its last checkpoint, so many times."""
        self.deaths[run.name] += 1
        if self.deaths[run.name] > self.policy.retries:
            self._fail(run, "failed", error)
            return
        self.reporter.ended(run.name, "interrupted", error)
        self.waiting.appendleft(run)

    def _fail(self, run: PlannedRun, state: str, error: str) -> None:
        self.failed.add(run.name)
        self.sweep.fail(run, error)
        self.reporter.ended(run.name, "diverged" if state == "diverged" else "failed", error)
        if self.halted:
            return
        if self.policy.fail_fast:
            self._halt(signal.SIGTERM, "a run failed: the others are being saved")
        elif state != "diverged" and self._at_once(run, error):
            self._halt(signal.SIGTERM, f"{IDENTICAL} runs failed at once with one error: {error}")

    def _at_once(self, run: PlannedRun, error: str) -> bool:
        """Whether this is one of IDENTICAL instant failures in a row that look the same but for the run's name."""
        error = error.replace(run.name, "RUN")
        quick = time.monotonic() - self.began.get(run.name, 0.0) < INSTANT
        same = not self.instant or self.instant[-1] == error
        self.instant = [*(self.instant if same else []), error] if quick else []
        return len(self.instant) == IDENTICAL

    def _halt(self, number: signal.Signals, reason: str) -> None:
        """Begin nothing more, and let every run save itself."""
        self.halted = True
        self.waiting.clear()
        self.elsewhere.clear()
        self.reporter.say(reason)
        self.launcher.stop(number)

    def _look_elsewhere(self) -> None:
        for name in list(self.elsewhere):
            found = self.sweep.state(self.runs[name])
            if found.state == "running":
                continue
            self.elsewhere.discard(name)
            if found.state == "finished":
                self._finished(found.run)
            elif found.state in FAILURES:
                self._fail(found.run, found.state, found.error or "unknown error")
            else:
                self.waiting.append(found.run)


def _killed(number: int | None) -> str:
    if number is None:
        return "its process ended without a word"
    name = signal.Signals(number).name
    memory = ", perhaps for lack of memory" if number == signal.SIGKILL else ""
    return f"killed by {name}{memory}"
