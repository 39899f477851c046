"""Which tables of training steps, and how long each is given: ten minutes in all on two cores."""

from pathlib import Path

import collapse
import measuring
import steps
from clock import Effort
from shapes import LARGE, MEDIUM, SMALL

QUICK = Effort(rounds=1, steps=2)


def quick(folder: Path) -> None:
    """The small size only."""
    steps.beside_peers(SMALL, 1, QUICK, folder, slow=True)
    steps.by_experts((8, 32), QUICK, folder)
    collapse.cost([SMALL], QUICK, folder)
    measuring.cost({SMALL: QUICK}, folder)


def full(folder: Path) -> None:
    """Everything."""
    efforts = {SMALL: Effort(3, 10, 3), MEDIUM: Effort(3, 4, 2), LARGE: Effort(3, 1)}
    for threads in (1, 2):
        for shape, effort in efforts.items():
            steps.beside_peers(shape, threads, effort, folder, slow=shape != LARGE)
    steps.by_experts((8, 32, 64, 128), Effort(4, 3), folder)
    collapse.cost([SMALL, SMALL.experts(64), MEDIUM], Effort(7, 5), folder)
    rounds = measuring.EVERY
    measured = {
        SMALL: Effort(9, rounds),
        SMALL.experts(64): Effort(5, rounds),
        MEDIUM: Effort(3, rounds),
    }
    measuring.cost(measured, folder)
