"""Runs that differ in their seed alone, taken together: means with intervals, and paired differences."""

from collections.abc import Sequence
from typing import Any

from moe_lab.report import compare
from moe_lab.report.outcomes import SHOWN, Glance
from moe_lab.statistics import FEW, Interval, interval, paired

Arm = dict[int | None, Glance]  # by seed
COLUMNS = ("gap", "lm_loss", "rho", "n_eff", "nmi", "cv_worst")
LOSSES = ("gap", "lm_loss")
READING = (
    "n: seeds. +/-: half the width of a 95 % t interval of the mean over seeds. n_eff: of the worst layer.\n"
    "Differences are paired by seed, from the first arm."
)


def counted(n: int) -> str:
    """A number of seeds; few are marked."""
    return f"{n}†" if 0 < n < FEW else str(n)


def arms(runs: Sequence[Glance]) -> dict[tuple[str, ...], Arm]:
    """Runs by the settings in which they differ, seed and name apart, in the order given."""
    asked = {key: row for key, row in compare.differences(runs).items() if key != "seed"}
    found: dict[tuple[str, ...], Arm] = {}
    for i, run in enumerate(runs):
        label = tuple(str(row[i]) for row in asked.values())
        found.setdefault(label, {})[run.seed] = run
    return found


def are_replicated(runs: Sequence[Glance]) -> bool:
    """Whether some settings were run at several seeds."""
    return any(len(arm) > 1 for arm in arms(runs).values())


def rows(runs: Sequence[Glance]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and one row per arm: its settings, n, means with intervals, differences of the losses from the first."""
    found = arms(runs)
    keys = [key for key in compare.differences(runs) if key != "seed"]
    first = next(iter(found.values()))
    losses = [name for name in LOSSES if all(run.values[name] is not None for run in runs)]
    shown = [name for name in COLUMNS if any(run.values[name] is not None for run in runs)]
    lines = [
        (
            *label,
            counted(len(arm)),
            *(_mean(arm, name) for name in shown),
            *(_difference(arm, first, name) if arm is not first else None for name in losses),
        )
        for label, arm in found.items()
    ]
    return (
        *keys,
        "n",
        *(SHOWN[n].strip() for n in shown),
        *(f"{name} - first" for name in losses),
    ), lines


def _mean(arm: Arm, name: str) -> Interval | None:
    values = [run.values[name] for run in arm.values()]
    known = [value for value in values if value is not None]
    return interval(known) if len(known) == len(values) else None


def _difference(arm: Arm, first: Arm, name: str) -> Interval | None:
    seeds = [seed for seed in first if seed in arm]
    pairs = [(arm[seed].values[name], first[seed].values[name]) for seed in seeds]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return paired([a for a, _ in known], [b for _, b in known]) if known else None
