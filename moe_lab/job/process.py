"""One run in a process of its own, which tells its driver how far it is and ends when the driver is gone."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from moe_lab.job.carry_out import ended
from moe_lab.job.task import Ended, Progress, Task
from moe_lab.progress.base import Silent
from moe_lab.progress.facts import Step, worst_n_eff
from moe_lab.progress.story import Story
from moe_lab.signals import ASKED

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
