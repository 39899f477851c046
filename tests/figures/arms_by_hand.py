"""Arms that nobody ran: settings, and what each seed is said to have found; tables are those of one real run."""

from collections.abc import Mapping, Sequence
from typing import Any

import vl_convert

from moe_lab.figures.arms import Arm, Arms, Replicate, labelled
from moe_lab.frames import RunFrames
from moe_lab.plan import run_name
from moe_lab.report.outcomes import OUTCOMES

Outcomes = dict[str, Any]


def found(gap: float | None = 0.25, verdict: str | None = "balanced", **others: Any) -> Outcomes:
    """The outcomes of a run; numbers that a test does not give are the same everywhere."""
    usual = {"gap": gap, "lm_loss": 4.0, "cv": 0.125, "cv_floor": 0.03, "n_eff": 7.5}
    usual |= {"max_violation": 0.25, "dead_experts": 0.0, "dropped": 0.0}
    return {**dict.fromkeys(OUTCOMES), **usual, "verdict": verdict, **others}


def by_hand(
    frames: RunFrames,
    points: Sequence[tuple[Mapping[str, Any], Sequence[Outcomes]]],
    *,
    baseline: int = 0,
    loss: str = "gap",
) -> Arms:
    """An arm per point, called p0, p1, …; a run per seed from 0."""
    keys = tuple(points[0][0])
    settings = {f"p{i}": dict(of_point) for i, (of_point, _) in enumerate(points)}
    runs = {
        f"p{i}": tuple(
            Replicate(run_name(f"p{i}", seed), seed, outcomes, frames)
            for seed, outcomes in enumerate(seeds)
        )
        for i, (_, seeds) in enumerate(points)
    }
    return Arms(keys, labelled(keys, settings, runs), f"p{baseline}", loss)


def arm(arms: Arms, point: str) -> Arm:
    """The arm of a name."""
    return next(arm for arm in arms.arms if arm.point == point)


def rows(figure: Any) -> list[dict[str, Any]]:
    """All data of a figure, in one list."""
    return [row for table in figure.spec()["datasets"].values() for row in table]


def drawn(figure: Any) -> str:
    """The SVG that Vega draws of it, once its definition has been held against the schema."""

    figure.chart.to_dict()
    return vl_convert.vegalite_to_svg(figure.spec(), allowed_base_urls=[])
