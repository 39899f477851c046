"""One run in a process of its own, which tells its driver how far it is and ends when the driver is gone."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from moe_lab import config
from moe_lab.errors import ConfigError, MoeLabError
from moe_lab.launch.task import Ended, Progress, Task
from moe_lab.progress.base import Reporter, Silent
from moe_lab.progress.facts import Step, worst_n_eff
from moe_lab.progress.story import Story
from moe_lab.signals import ASKED
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.lock import InUseError
from moe_lab.store.sweep import StoredSweep

PAUSE = 0.25  # seconds between two messages, at least


def work(task: Task, line: Connection, gpu: str | None) -> None:
    """Make the run, and send what came of it; `gpu` is what CUDA is shown."""
    os.setsid()  # Ctrl-C in the terminal is the driver's to pass on
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # before there is a run, it ends without a word
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKED)
    threading.Thread(target=_outlive_nobody, daemon=True).start()
    _die_first()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    _send(line, ended(task, _Wire(task.run.name, line)))


def ended(task: Task, reporter: Reporter, disk: Disk = DISK) -> Ended:
    """Make a run, or go on with it: what came of that, with its error if it was one."""
    try:
        _carry_out(task, reporter, disk)
    except MoeLabError as refusal:
        in_use = isinstance(refusal, InUseError)
        return Ended(task.run.name, refusal.render(), in_use=in_use)
    except Exception as bug:  # the run's log has the traceback
        return Ended(task.run.name, f"error: this is a bug in moe-lab: {bug!r}")
    return Ended(task.run.name)


def _carry_out(task: Task, reporter: Reporter, disk: Disk) -> None:
    from moe_lab import session  # torch: the server that forks this process has it already

    sweep = StoredSweep(task.sweep)
    directory = sweep.run_directory(task.run)
    if not directory.exists():
        resolved = config.load(sweep.base_path, settings=task.run.settings)
        try:
            session.train(resolved, runs_dir=task.sweep, exact=True, reporter=reporter, disk=disk)
            return
        except ConfigError:
            if not directory.exists():
                raise
            # else a process of a driver that was killed has been faster
    session.resume(directory, reporter=reporter, disk=disk)


def _outlive_nobody() -> None:
    """Ask for a stop, as Ctrl-C would, when the driver has ended in whatever way."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _die_first() -> None:
    """Where memory runs out, Linux kills this process and not its driver: the default is 0, the most 1000."""
    with suppress(OSError):  # another system
        Path("/proc/self/oom_score_adj").write_text("500")


class _Wire(Silent):
    """Progress over the line, not too often."""

    def __init__(self, run: str, line: Connection):
        self.run, self.line, self.next_time, self.steps = run, line, 0.0, 0

    def start(self, story: Story) -> None:
        self.steps = story.facts.steps or 0

    def step(self, result: Step, elapsed_s: float) -> None:
        if (now := time.monotonic()) < self.next_time:
            return
        self.next_time = now + PAUSE
        n_eff = worst_n_eff(result)
        _send(self.line, Progress(self.run, result.step, self.steps, result.lm_loss, n_eff))


def _send(line: Connection, message: Progress | Ended) -> None:
    with suppress(OSError):  # the driver has gone; the run is being stopped
        line.send(message)
