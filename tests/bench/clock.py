"""Timing in turn: machines drift and neighbours come and go, so that only what is timed side by side compares."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

WALL, CPU = time.perf_counter, time.process_time
Block = Callable[[], float]


@dataclass(frozen=True)
class Effort:
    """How often contenders are built, how often each one's turn comes then, and how many steps it takes."""

    rounds: int
    steps: int
    builds: int = 1  # two equal models differ by some per cent

    def __str__(self) -> str:
        built = f", all built {self.builds} times" if self.builds > 1 else ""
        return f"{self.builds * self.rounds} rounds of {self.steps} steps{built}"


def in_turn(blocks: Mapping[str, Block], rounds: int) -> dict[str, list[float]]:
    """What each block returns in every round, after one that does not count; another begins each time."""
    names = list(blocks)
    for name in names:
        blocks[name]()
    found: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        start = i % len(names)
        for name in names[start:] + names[:start]:
            found[name].append(blocks[name]())
    return found


def ratio(above: list[float], below: list[float]) -> float:
    """Median over rounds of the ratio within a round."""
    return median(a / b for a, b in zip(above, below, strict=True))


def spread(values: list[float]) -> float:
    """Largest less smallest, over the median."""
    return (max(values) - min(values)) / median(values)


def best_of(action: Callable[[], object], times: int) -> float:
    """Least wall time of an action."""
    found = []
    for _ in range(times):
        began = WALL()
        action()
        found.append(WALL() - began)
    return min(found)
