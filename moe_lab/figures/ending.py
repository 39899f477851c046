"""How a layer's routing ended: each expert's load, and what is drawn of it apart or together."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_lab import metrics
from moe_lab.figures import style
from moe_lab.metrics.verdict import DEAD_SHARE, MIN_EXPECTED

LATE = 0.1  # share of the training steps whose mean stands for the end, where no evaluation does


@dataclass(frozen=True)
class Ending:
    """One layer's load at the end."""

    load: NDArray[np.float64]  # (E,)
    source: str  # what it was measured on
    assignments: float  # how many it is shares of

    @property
    def ranked(self) -> NDArray[np.intp]:
        """Experts by their load, the most loaded first; equal ones by their index."""
        return np.argsort(-self.load, kind="stable")

    @property
    def n_eff(self) -> float:
        """Effective number of experts."""
        return metrics.n_eff(self.load)

    @property
    def dead(self) -> NDArray[np.bool_]:
        """(E,) of experts below 5 % of fair share; none where each expects too few assignments to say so."""
        enough = self.assignments >= MIN_EXPECTED * len(self.load)
        return (self.load < DEAD_SHARE / len(self.load)) & enough


@dataclass(frozen=True)
class Part:
    """An expert, or the others together."""

    experts: NDArray[np.intp]
    label: str  # the expert's index, or "others"
    colour: str

    def of(self, loads: NDArray[Any]) -> NDArray[Any]:
        """What it has of loads, or of marks, (..., E) to (...)."""
        total: NDArray[Any] = loads[..., self.experts].sum(axis=-1)
        return total


@dataclass(frozen=True)
class Rows:
    """A layer's loads on one split, step by step."""

    steps: NDArray[np.int64]  # (S,) ascending
    loads: NDArray[np.float64]  # (S, E)
    assignments: NDArray[np.float64]  # (S,)

    @classmethod
    def known(
        cls, steps: NDArray[np.int64], loads: NDArray[np.float64], assignments: NDArray[np.float64]
    ) -> "Rows":
        """Rows in order of their steps, without those that a number is missing of."""
        order = np.argsort(steps, kind="stable")
        order = order[np.isfinite(loads[order]).all(axis=1)]
        return cls(steps[order], loads[order], assignments[order])


def ending(held_out: Rows, trained: Rows) -> Ending | None:
    """The load of the last evaluation since training began, else the mean of the last training steps.

    None before the first row.
    """
    if len(held_out.steps) and (held_out.steps[-1] > 0 or not len(trained.steps)):
        source = f"held-out data at step {held_out.steps[-1]}"
        return Ending(held_out.loads[-1], source, float(held_out.assignments[-1]))
    if not len(trained.steps):
        return None
    late = ceil(LATE * len(trained.steps))
    first, last = trained.steps[[-late, -1]]
    return Ending(
        trained.loads[-late:].mean(axis=0),
        f"training, mean of steps {first} to {last}",
        float(trained.assignments[-late:].sum()),
    )


def parts(end: Ending, *, apart: int) -> list[Part]:
    """Experts from the most loaded to the least; of more than style.EXPERTS so many apart, then the others as one."""
    n_experts = len(end.load)
    if n_experts <= style.EXPERTS:
        return [_single(expert, colour=expert) for expert in end.ranked]
    others = Part(np.sort(end.ranked[apart:]), "others", style.MUTED)
    return [*(_single(expert, colour=i) for i, expert in enumerate(end.ranked[:apart])), others]


def _single(expert: int, colour: int) -> Part:
    base = style.COLOURS[colour % len(style.COLOURS)]
    return Part(
        np.array([expert]), str(expert), base if colour < len(style.COLOURS) else _tint(base)
    )


def _tint(colour: str) -> str:
    """Half way to white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{(part + 255) // 2:02x}" for part in parts)
