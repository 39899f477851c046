"""Nodes of a cluster of Ray, and the moment at which one is killed."""

import signal
from collections.abc import Callable
from typing import Any

from sweep.conftest import Told


def add_node(cluster: Any) -> None:
    """One of one CPU, started as in the background of a script: with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    cluster.add_node(num_cpus=1, wait=False)
    signal.signal(signal.SIGINT, before)


class When(Told):
    """Does something once, at the first step that is told of after so many runs have ended."""

    def __init__(self, act: Callable[[str], object], after: int = 0) -> None:
        super().__init__()
        self.act, self.after, self.done = act, after, False

    def step(self, run: str, step: int, steps: int, lm_loss: float, n_eff: float | None) -> None:
        super().step(run, step, steps, lm_loss, n_eff)
        if not self.done and len(self.of("finished")) >= self.after:
            self.done = True
            self.act(run)
