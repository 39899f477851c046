"""What runs came to, by measurement: every run, and means over seeds with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from moe_lab.figures import style
from moe_lab.figures.arms import Arm, Arms, Replicate
from moe_lab.statistics import interval, wilson

Reading = Callable[[Replicate], float | None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """A measurement of a run as an axis has it."""

    name: str
    title: str  # of the axis
    reading: Reading
    is_share: bool = False  # of runs: yes or no for each

    def runs(self, arm: Arm) -> list[Row]:
        """A row per run of the arm that has a value; none of a single one, which is its own mean."""
        found = [(run, self.reading(run)) for run in arm.runs if len(arm.runs) > 1]
        return [
            {"kind": "run", "point": arm.point, "run": run.name, "value": value}
            for run, value in found
            if value is not None
        ]

    def mean(self, arm: Arm) -> list[Row]:
        """The arm's mean with its 95 % interval, Wilson's of a share; nothing if one of its runs has no value."""
        values = [self.reading(run) for run in arm.runs]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return []
        alone = arm.runs[0].name if len(known) == 1 else None  # which then can be chosen
        row = {"kind": "mean", "point": arm.point, "run": alone, "n": len(known)}
        return [row | (_share(known) if self.is_share else _mean(known))]


def _mean(values: Sequence[float]) -> Row:
    found = interval(values)
    if found.half_width is None:
        return {"value": found.mean, "low": None, "high": None}
    half = found.half_width
    return {"value": found.mean, "low": found.mean - half, "high": found.mean + half}


def _share(values: Sequence[float]) -> Row:
    found = wilson(int(sum(values)), len(values))
    return {"value": found.successes / found.n, "low": found.low, "high": found.high}


PLAIN = ("cv", "max_violation", "n_eff", "dead_experts", "dropped")
BEYOND = ("nmi", "aux_over_lm", "router_grad_share")
DIFFERENCE, COLLAPSED = "difference", "collapsed"


def measures(arms: Arms) -> list[Measure]:
    """Every measurement that some run has; drops only where something was dropped."""
    loss = Measure(arms.loss, style.titled(arms.loss), outcome(arms.loss))
    found = [
        loss,
        Measure(DIFFERENCE, f"{arms.loss} less the baseline's (nats/token)", _paired(arms)),
        *(Measure(name, style.titled(name), outcome(name)) for name in PLAIN),
        Measure(COLLAPSED, style.titled(COLLAPSED, "share of runs"), _collapsed, is_share=True),
        *(Measure(name, style.titled(name), outcome(name)) for name in BEYOND),
    ]
    return [measure for measure in found if _tells(measure, arms)]


def outcome(name: str) -> Reading:
    """One of OUTCOMES."""
    return lambda run: run.outcomes[name]


def _collapsed(run: Replicate) -> float | None:
    verdict = run.outcomes["verdict"]
    return None if verdict is None else float(verdict == "collapsed")


def _paired(arms: Arms) -> Reading:
    """The loss less that of the baseline's run of the same seed; none for the baseline itself."""
    reference = next((arm.runs for arm in arms.arms if arm.point == arms.baseline), ())
    by_seed = {run.seed: run.outcomes[arms.loss] for run in reference}

    def difference(run: Replicate) -> float | None:
        loss, other = run.outcomes[arms.loss], by_seed.get(run.seed)
        return None if run in reference or loss is None or other is None else loss - other

    return difference


def _tells(measure: Measure, arms: Arms) -> bool:
    values = [measure.reading(run) for _, run in arms.runs]
    known = [value for value in values if value is not None]
    return any(known) if measure.name == "dropped" else bool(known)
