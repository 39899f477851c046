"""How often is looked: four times a second, and seldom enough for a slow disk."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from moe_lab.signals import StopRequest

PAUSE = 0.25  # seconds between two looks, at least
SHARE = 0.05  # of the time that is spent on looking, at most
GRACE = 2.0  # seconds without a new row until a run without a lock counts as interrupted: a disk may not share locks


@dataclass(frozen=True)
class Tempo:
    """The clock by which is looked, and what waits."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep

    def rest(self, began: float, stop: StopRequest) -> None:
        """Wait after a look that began then, but not beyond a stop."""
        self.wait(max(PAUSE, (self.clock() - began) / SHARE), stop)

    def wait(self, seconds: float, stop: StopRequest) -> None:
        """Wait so long, but not beyond a stop."""
        for _ in range(ceil(seconds / PAUSE)):
            if not stop.asked:
                self.sleep(PAUSE)
