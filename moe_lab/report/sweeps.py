"""A sweep in numbers: one row per point, paired differences from the baseline, and where collapse ends.

Everything follows the plan's order, whatever order runs finished in, and nothing but tokens_per_s depends on time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

from moe_lab.metrics import GRAVITY
from moe_lab.plan import Plan, Point
from moe_lab.report import doses, shared_settings
from moe_lab.report.contrasts import Difference, differences
from moe_lab.report.doses import DoseResponse
from moe_lab.report.outcomes import OUTCOMES
from moe_lab.report.tuned import Tuned, tuned
from moe_lab.statistics import Interval, Proportion, interval, pareto, wilson
from moe_lab.store.sweep import FAILURES, RunState
from moe_lab.tuning import Chain

Outcomes = dict[str, Any]
BySeed = dict[int, Outcomes]  # of finished runs

MARGIN = 0.01  # nats: the smallest difference in loss that matters, about 1 % of perplexity
BLANK = dict.fromkeys(OUTCOMES)


@dataclass(frozen=True)
class Run:
    """One planned run: where it is, and what came of it."""

    name: str
    point: str
    settings: dict[str, Any]  # swept ones, dotted
    seed: int
    state: str
    error: str | None  # its first line
    outcomes: Outcomes  # by OUTCOMES; None where it has none


@dataclass(frozen=True)
class Row:
    """A point over its finished runs. A measure that one of them lacks is None."""

    point: str
    settings: dict[str, Any]  # swept ones, dotted
    n: int  # finished
    failed: int  # or diverged
    loss: Interval | None
    difference: Difference | None  # None for the baseline, and where no seed is shared
    cv: Interval | None  # of the mean over layers
    cv_floor: float | None  # equal for all seeds
    max_violation: float | None  # means over seeds, as are the next three
    n_eff: float | None
    dead_experts: float | None
    dropped: float | None
    collapsed: Proportion | None
    verdict: str | None  # upper median of the seeds' verdicts
    tokens_per_s: float | None  # median over seeds
    best: bool = False  # lowest mean loss
    front: bool = False  # no point is as good in loss and cv, and better in one


@dataclass(frozen=True)
class Analysis:
    """All that a report of a sweep says."""

    name: str
    base: str  # name of the config that is swept
    keys: tuple[str, ...]  # swept settings, dotted
    seeds: tuple[int, ...]
    baseline: str  # name of a point
    facts: dict[str, Any]  # settings that all runs share
    loss: str  # gap, or lm_loss where a finished run does not know its gap
    margin: float
    points: tuple[Row, ...]
    runs: tuple[Run, ...]
    thresholds: tuple[DoseResponse, ...]
    rule: Tuned | None  # where it was followed


def analyse(
    name: str,
    plan: Plan,
    base: Mapping[str, Any],
    states: Mapping[str, RunState],
    seen: Mapping[str, Outcomes],
    chains: Sequence[Chain] = (),
    *,
    margin: float = MARGIN,
) -> Analysis:
    """A sweep from its plan, its base config, and by run name the state of all runs and what the finished came to.

    chains: what the tuning rule did. margin: in nats; differences that surely lie within are called equivalent.
    """
    planned = {run.name for run in plan.runs}
    beyond = [name for name in states if name not in planned]  # of the rule
    names = (*(run.name for run in plan.runs), *beyond)
    runs = tuple(_run(states[name], seen.get(name)) for name in names)
    finished = _finished(plan, runs)
    everything = [outcomes for of_point in finished.values() for outcomes in of_point.values()]
    loss = "gap" if _known(everything, "gap") else "lm_loss"
    points = _marked(_rows(plan, runs, finished, loss, margin))
    return Analysis(
        name=name,
        base=base["name"],
        keys=plan.keys,
        seeds=plan.seeds,
        baseline=plan.baseline,
        facts=shared_settings.facts(base, plan.keys),
        loss=loss,
        margin=margin,
        points=points,
        runs=runs,
        thresholds=tuple(doses.responses(plan, _collapsed(finished))),
        rule=_tuned(chains, runs, points, loss) if chains else None,
    )


def _run(at: RunState, outcomes: Outcomes | None) -> Run:
    return Run(
        name=at.run.name,
        point=at.run.point.name,
        settings=dict(at.run.point.settings),
        seed=at.run.seed,
        state=at.state,
        error=next(iter((at.error or "").splitlines()), None),
        outcomes=outcomes or BLANK,
    )


def _tuned(chains: Sequence[Chain], runs: Sequence[Run], points: Sequence[Row], loss: str) -> Tuned:
    known = {run.name: run.outcomes[loss] for run in runs if run.outcomes[loss] is not None}
    return tuned(chains, known, next((row.point for row in points if row.best), None))


def _finished(plan: Plan, runs: Sequence[Run]) -> dict[str, BySeed]:
    found: dict[str, BySeed] = {point.name: {} for point in plan.points}
    for run in runs:
        if run.state == "finished" and run.point in found:
            found[run.point][run.seed] = run.outcomes
    return found


def _collapsed(finished: Mapping[str, BySeed]) -> dict[str, dict[int, bool]]:
    return {
        point: {seed: outcomes["verdict"] == "collapsed" for seed, outcomes in of_point.items()}
        for point, of_point in finished.items()
    }


def _rows(
    plan: Plan, runs: Sequence[Run], finished: Mapping[str, BySeed], loss: str, margin: float
) -> list[Row]:
    failed = Counter(run.point for run in runs if run.state in FAILURES)
    losses = {
        point: {seed: found[loss] for seed, found in of_point.items() if found[loss] is not None}
        for point, of_point in finished.items()
    }
    contrasts = differences(list(losses.values()), losses[plan.baseline], margin)
    return [
        _row(point, list(finished[point.name].values()), failed[point.name], loss, difference)
        for point, difference in zip(plan.points, contrasts, strict=True)
    ]


def _row(
    point: Point, found: list[Outcomes], failed: int, loss: str, difference: Difference | None
) -> Row:
    verdicts = sorted(_known(found, "verdict"), key=GRAVITY.index)
    speeds = _known(found, "tokens_per_s")
    return Row(
        point=point.name,
        settings=dict(point.settings),
        n=len(found),
        failed=failed,
        loss=_interval(found, loss),
        difference=difference,
        cv=_interval(found, "cv"),
        cv_floor=max(_known(found, "cv_floor"), default=None),
        max_violation=_mean(found, "max_violation"),
        n_eff=_mean(found, "n_eff"),
        dead_experts=_mean(found, "dead_experts"),
        dropped=_mean(found, "dropped"),
        collapsed=wilson(verdicts.count("collapsed"), len(verdicts)) if verdicts else None,
        verdict=verdicts[len(verdicts) // 2] if verdicts else None,
        tokens_per_s=median(speeds) if speeds else None,
    )


def _marked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The best and the front; a single point is neither."""
    if len(rows) == 1:
        return tuple(rows)
    lowest = min((row.loss.mean for row in rows if row.loss), default=None)
    places = {row.point: (row.loss.mean, row.cv.mean) for row in rows if row.loss and row.cv}
    front = dict(zip(places, pareto(list(places.values())), strict=True))
    return tuple(
        replace(
            row,
            best=row.loss is not None and row.loss.mean == lowest,
            front=front.get(row.point, False),
        )
        for row in rows
    )


def _known(found: Sequence[Outcomes], name: str) -> list[Any]:
    """An outcome of every run; nothing if one of them has none."""
    values = [outcomes[name] for outcomes in found]
    return [] if None in values else values


def _interval(found: Sequence[Outcomes], name: str) -> Interval | None:
    values = _known(found, name)
    return interval(values) if values else None


def _mean(found: Sequence[Outcomes], name: str) -> float | None:
    values = _known(found, name)
    return fmean(values) if values else None
