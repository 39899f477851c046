"""A sweep for other programs: summary.csv, runs.csv and JSON, without their only timing unless it is wanted."""

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from moe_lab.report import tidy
from moe_lab.report.contrasts import Difference
from moe_lab.report.outcomes import OUTCOMES
from moe_lab.report.sweeps import Analysis, Row

RATE = "tokens_per_s"
TESTS = tuple(field.name for field in fields(Difference) if field.name != "interval")
SPREAD = ("mean", "half_width")
MEASURES = ("cv_floor", "max_violation", "n_eff", "dead_experts", "dropped")


def to_csv(analysis: Analysis, *, with_times: bool = False) -> str:
    """summary.csv: one row per point. `*_half_width`: half of a 95 % interval; blank: unknown, or null."""
    records = [_record(analysis, row, with_times=with_times) for row in analysis.points]
    return tidy.table(records[0], (record.values() for record in records))


def runs_csv(analysis: Analysis, *, with_times: bool = False) -> str:
    """runs.csv: one row per planned run; outcomes are blank until it has finished."""
    measured = [name for name in OUTCOMES if with_times or name != RATE]
    rows = (
        (
            run.name,
            *(run.settings[key] for key in analysis.keys),
            *(run.seed, run.state, run.error),
            *(run.outcomes[name] for name in measured),
        )
        for run in analysis.runs
    )
    return tidy.table(("run", *analysis.keys, "seed", "state", "error", *measured), rows)


def to_json(analysis: Analysis, *, with_times: bool = False) -> dict[str, Any]:
    """Everything, as JSON has it."""
    found = asdict(analysis)
    for threshold, response in zip(found["thresholds"], analysis.thresholds, strict=True):
        threshold["sentence"] = response.sentence()
    if not with_times:
        for holder in (*found["points"], *(run["outcomes"] for run in found["runs"])):
            del holder[RATE]
    return found


def _record(analysis: Analysis, row: Row, *, with_times: bool) -> dict[str, Any]:
    difference = row.difference
    return {
        "point": row.point,
        **{key: row.settings[key] for key in analysis.keys},
        "n": row.n,
        "failed": row.failed,
        **_named(analysis.loss, row.loss, SPREAD),
        **_named("difference", difference.interval if difference else None, (*SPREAD, "n")),
        **_named("difference", difference, TESTS),
        **_named("cv", row.cv, SPREAD),
        **{name: getattr(row, name) for name in MEASURES},
        "collapsed": row.collapsed.successes if row.collapsed else None,
        **_named("collapsed", row.collapsed, ("low", "high")),
        "verdict": row.verdict,
        "best": row.best,
        "front": row.front,
        **({RATE: row.tokens_per_s} if with_times else {}),
    }


def _named(name: str, record: object, parts: Iterable[str]) -> dict[str, Any]:
    """The parts of a record, each with its name before it; unknown if there is no record."""
    return {f"{name}_{part}": getattr(record, part, None) for part in parts}
