"""Runs that differ in their seed alone, taken together: means with intervals, and paired differences."""

from collections.abc import Sequence
from typing import Any

from moe_lab.report import compare
from moe_lab.statistics import Interval, interval, paired

Summary = dict[str, Any]
Arm = dict[int, Summary]  # by seed
COLUMNS = ("gap", "lm_loss", "rho", "n_eff, worst layer", "nmi", "cv, worst layer")
LOSSES = ("gap", "lm_loss")
READING = (
    "n: seeds. +/-: half the width of a 95 % t interval of the mean over seeds.\n"
    "Differences are paired by seed, from the first arm."
)


def arms(summaries: Sequence[Summary]) -> dict[tuple[str, ...], Arm]:
    """Runs by the settings in which they differ, seed and name apart, in the order given."""
    keys = [key for key in compare.differences(list(summaries)) if key != "seed"]
    found: dict[tuple[str, ...], Arm] = {}
    for summary in summaries:
        config = compare.settings(summary["config"])
        label = tuple(str(config.get(key)) for key in keys)
        found.setdefault(label, {})[config["seed"]] = summary
    return found


def are_replicated(summaries: Sequence[Summary]) -> bool:
    """Whether some settings were run at several seeds."""
    return any(len(arm) > 1 for arm in arms(summaries).values())


def rows(summaries: Sequence[Summary]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and one row per arm: its settings, n, means with intervals, differences of the losses from the first."""
    found = arms(summaries)
    keys = [key for key in compare.differences(list(summaries)) if key != "seed"]
    first = next(iter(found.values()))
    losses = [name for name in LOSSES if all(name in _numbers(s) for s in summaries)]
    shown = [name for name in COLUMNS if any(name in _numbers(s) for s in summaries)]
    lines = [
        (
            *label,
            len(arm),
            *(_mean(arm, name) for name in shown),
            *(_difference(arm, first, name) if arm is not first else None for name in losses),
        )
        for label, arm in found.items()
    ]
    return (*keys, "n", *shown, *(f"{name} - first" for name in losses)), lines


def _numbers(summary: Summary) -> dict[str, float]:
    """What is averaged, by column; what a run does not have is left out."""
    outcomes = compare.outcomes(summary)
    values = {
        "gap": outcomes["gap"],
        "lm_loss": outcomes["lm_loss"],
        "rho": outcomes["rho"],
        "n_eff, worst layer": outcomes["  n_eff at the end"],
        "nmi": outcomes["nmi"],
        "cv, worst layer": outcomes["cv, worst layer"],
    }
    return {name: value for name, value in values.items() if value is not None}


def _mean(arm: Arm, name: str) -> Interval | None:
    values = [_numbers(summary).get(name) for summary in arm.values()]
    known = [value for value in values if value is not None]
    return interval(known) if len(known) == len(values) else None


def _difference(arm: Arm, first: Arm, name: str) -> Interval | None:
    seeds = sorted(seed for seed in arm if seed in first)
    pairs = [(_numbers(arm[seed]).get(name), _numbers(first[seed]).get(name)) for seed in seeds]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return paired([a for a, _ in known], [b for _, b in known]) if known else None
