"""One run in a process of its own, which tells its driver how far it is and ends when the driver is gone."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection

from moe_lab import config
from moe_lab.errors import MoeLabError
from moe_lab.launch.task import Ended, Progress, Task
from moe_lab.progress.base import Silent, Step, worst_n_eff
from moe_lab.signals import ASKED
from moe_lab.store.sweep import StoredSweep

PAUSE = 0.25  # seconds between two messages, at least


def work(task: Task, line: Connection, gpu: str | None) -> None:
    """Make the run, and send what came of it; `gpu` is what CUDA is shown."""
    os.setsid()  # Ctrl-C in the terminal is the driver's to pass on
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # before there is a run, it ends without a word
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKED)
    threading.Thread(target=_outlive_nobody, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    error = None
    try:
        _run(task, _Wire(task.run.name, line))
    except MoeLabError as refusal:
        error = refusal.render()
    except Exception as bug:  # the run's log has the traceback
        error = f"error: this is a bug in moe-lab: {bug!r}"
    _send(line, Ended(task.run.name, error))


def _run(task: Task, reporter: "_Wire") -> None:
    from moe_lab import session  # torch: the server that forks this process has it already

    sweep = StoredSweep(task.sweep)
    directory = sweep.run_directory(task.run)
    if directory.exists():
        session.resume(directory, reporter=reporter)
    else:
        resolved = config.load(sweep.base_path, settings=task.run.settings)
        session.train(resolved, runs_dir=task.sweep, exact=True, reporter=reporter)


def _outlive_nobody() -> None:
    """Ask for a stop, as Ctrl-C would, when the driver has ended in whatever way."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os.kill(os.getpid(), signal.SIGTERM)


class _Wire(Silent):
    """Progress over the line, not too often."""

    def __init__(self, run: str, line: Connection):
        self.run, self.line, self.next_time, self.steps = run, line, 0.0, 0

    def start(self, title: str, step: int, steps: int) -> None:
        self.steps = steps

    def step(self, result: Step) -> None:
        if (now := time.monotonic()) < self.next_time:
            return
        self.next_time = now + PAUSE
        n_eff = worst_n_eff(result)
        _send(self.line, Progress(self.run, result.step, self.steps, result.lm_loss, n_eff))


def _send(line: Connection, message: Progress | Ended) -> None:
    with suppress(OSError):  # the driver has gone; the run is being stopped
        line.send(message)
