"""Sweeps that nobody ran: a plan, and what each of its runs is said to have found."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from moe_lab.config import load
from moe_lab.plan import Plan, PlannedRun, Point
from moe_lab.report.outcomes import OUTCOMES
from moe_lab.report.sweeps import Analysis, analyse
from moe_lab.store.sweep import RunState

Found = (
    dict[str, Any] | str | None
)  # outcomes of a finished run; error of a failed one; a run to come


def found(gap: float | None = 0.25, verdict: str | None = "balanced", **others: Any) -> Found:
    """The outcomes of a run; numbers that a test does not give are the same everywhere."""
    usual = {"gap": gap, "lm_loss": 4.0, "cv": 0.125, "cv_floor": 0.03, "n_eff": 7.5}
    usual |= {"max_violation": 0.25, "dead_experts": 0.0, "dropped": 0.0, "tokens_per_s": 1e4}
    return {**dict.fromkeys(OUTCOMES), **usual, "verdict": verdict, **others}


def plan(settings: Sequence[Mapping[str, Any]], seeds: int, baseline: int = 0) -> Plan:
    """A point per mapping of settings, called by their values."""
    points = [Point("-".join(map(str, point.values())), point) for point in settings]
    return Plan(tuple(settings[0]), tuple(points), tuple(range(seeds)), points[baseline].name)


def state(run: PlannedRun, result: Found) -> RunState:
    if isinstance(result, str):
        return RunState(run, "failed", result)
    return RunState(run, "pending" if result is None else "finished")


@cache
def base(*settings: str) -> dict[str, Any]:
    return load(None, ["name=collapse", *settings]).config.model_dump()


def sweep(
    results: Sequence[tuple[Mapping[str, Any], Sequence[Found]]],
    *,
    baseline: int = 0,
    on: Sequence[str] = (),
    backwards: bool = False,
    **options: Any,
) -> Analysis:
    """Settings of each point with what its seeds found; `backwards`: the runs are told of in another order."""
    planned = plan([settings for settings, _ in results], len(results[0][1]), baseline)
    runs = [
        (PlannedRun(point, seed), result)
        for point, (_, by_seed) in zip(planned.points, results, strict=True)
        for seed, result in enumerate(by_seed)
    ]
    runs = runs[::-1] if backwards else runs
    states = {run.name: state(run, result) for run, result in runs}
    seen = {run.name: result for run, result in runs if isinstance(result, dict)}
    return analyse("sweep-alpha", planned, base(*on), states, seen, **options)


def alphas(results: Mapping[float, Sequence[Found]], **options: Any) -> Analysis:
    """A sweep over alpha alone."""
    return sweep([({"moe.alpha": alpha}, seeds) for alpha, seeds in results.items()], **options)


def gaps(results: Mapping[float, Sequence[float]], **options: Any) -> Analysis:
    """A sweep over alpha in which every run finished with a gap."""
    return alphas({a: [found(gap) for gap in seeds] for a, seeds in results.items()}, **options)
