"""Which experts are dead, and since when a layer is collapsed, skewed or balanced."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from moe_lab.metrics.loads import Load, collapse_index, load, max_violation

DEAD_SHARE = 0.05  # of the fair share: an expert below is dead
MIN_EXPECTED = 20  # assignments per expert in a window, before anything is called dead
HALF_LIFE = 20  # steps, of the moving average that a verdict is read off
SUSTAINED = 50  # steps beyond the threshold that make a collapse, or end one
COLLAPSED = 0.5  # collapse_index

Verdict = Literal["collapsed", "skewed", "balanced"]
GRAVITY: tuple[Verdict, ...] = ("balanced", "skewed", "collapsed")  # the later, the graver


@dataclass(frozen=True)
class Deaths:
    """Shares of a layer's experts over a window of at least MIN_EXPECTED assignments per expert."""

    dead_experts: float  # below 5 % of the fair share
    starved_experts: float  # without any assignment, hence any task gradient; among the dead


def dead_experts(q: Load) -> float:
    """Share of experts below 5 % of their fair share 1/E, in [0, 1 - k/E].

    q must come from a long enough window: by sampling alone a healthy expert that expects m assignments
    falls below with probability near exp(-.8 m).
    """
    return float((q < DEAD_SHARE / len(q)).mean())


def starved_experts(counts: Sequence[int] | NDArray[np.int64]) -> float:
    """Share of experts with no assignment at all (gradient-dead), in [0, 1 - k/E]; never above dead_experts."""
    return float((np.asarray(counts) == 0).mean())


def window_steps(n_experts: int, assignments: int) -> int:
    """Steps of so many assignments until each expert expects MIN_EXPECTED of them."""
    return ceil(MIN_EXPECTED * n_experts / assignments)


def deaths(counts: Sequence[int] | NDArray[np.int64]) -> Deaths | None:
    """Dead and starved experts of a window's counts; None if it is too short to call an expert dead."""
    n = np.asarray(counts)
    if window_steps(len(n), int(n.sum())) > 1:
        return None
    return Deaths(dead_experts(load(n)), starved_experts(n))


class DeadWindow:
    """Counts of the last W steps of one layer, W the fewest with MIN_EXPECTED assignments each."""

    def __init__(self, n_experts: int, assignments: int):
        self.counts: deque[list[int]] = deque(maxlen=window_steps(n_experts, assignments))

    def add(self, counts: list[int]) -> Deaths | None:
        """Deaths with this step counted in; None until the window is long enough."""
        self.counts.append(counts)
        return deaths(np.sum(self.counts, axis=0))


@dataclass
class LoadWatch:
    """A layer's verdict, from its load at each logged step, on a moving average with half-life HALF_LIFE.

    Collapsed: collapse_index above COLLAPSED for SUSTAINED consecutive steps, until it stays below as long.
    """

    top_k: int
    average: Load | None = None
    step: int = 0
    onsets: list[int] = field(default_factory=list)  # first step of each collapse
    recoveries: list[int] = field(default_factory=list)  # first step after each collapse
    _crossed: int | None = None  # first step on the other side of the threshold

    @property
    def collapsed(self) -> bool:
        """Whether a collapse has begun and not ended."""
        return len(self.onsets) > len(self.recoveries)

    def update(self, step: int, q: Load) -> Literal["collapse", "recovery"] | None:
        """Take one step's load; says what has just become certain, if anything."""
        keep = 0.0 if self.average is None else 0.5 ** ((step - self.step) / HALF_LIFE)
        self.average = q if self.average is None else keep * self.average + (1 - keep) * q
        self.step = step
        if self._beyond() == self.collapsed:
            self._crossed = None
            return None
        self._crossed = self._crossed or step
        if step - self._crossed + 1 < SUSTAINED:
            return None
        changes = self.recoveries if self.collapsed else self.onsets
        changes.append(self._crossed)
        self._crossed = None
        return "collapse" if self.collapsed else "recovery"

    def verdict(self) -> Verdict:
        """Collapsed, else skewed (a maximal violation over 1 or a dead expert), else balanced."""
        assert self.average is not None, "no step was seen"
        if self.collapsed:
            return "collapsed"
        skewed = max_violation(self.average) > 1 or dead_experts(self.average) > 0
        return "skewed" if skewed else "balanced"

    def outcome(self) -> dict[str, Any]:
        """What summary.json says of a layer."""
        return {
            "verdict": self.verdict(),
            "onsets": self.onsets,
            "recoveries": self.recoveries,
        }

    def _beyond(self) -> bool:
        assert self.average is not None
        index = collapse_index(self.average, top_k=self.top_k)
        return index is not None and index > COLLAPSED
