"""The report of a sweep as parts: what was swept on what, the table, and how to read it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from moe_lab.report import compare
from moe_lab.report.doses import DoseResponse
from moe_lab.report.pages import Note, Part, Sheet
from moe_lab.report.render import cell
from moe_lab.report.replicates import counted
from moe_lab.report.shared_settings import PLACES, named
from moe_lab.report.sweeps import Analysis, Row, Run
from moe_lab.report.tuned import Course, Tuned
from moe_lab.statistics import FEW
from moe_lab.store.sweep import FAILURES

UNITS = {
    "gap": "gap: nats per token above the Bayes predictor",
    "lm_loss": "lm_loss: nats per token",
}
# What a narrow terminal can do without, the first to go first.
SPARE = ("tokens_per_s", "dropped", "dead", "lower", "max_vio", "decision", "n_eff", "p", "failed")
SENTENCES = 8  # on where collapse ends, at most


def parts(analysis: Analysis, *, with_times: bool = False) -> Iterator[Part]:
    """Header, table, where collapse ends, what failed or has not finished, and how to read it."""
    yield Note(_title(analysis), heading=True)
    measured = any(row.n for row in analysis.points)
    yield Note("\n".join([*_shared(analysis.facts), *([UNITS[analysis.loss]] if measured else [])]))
    yield _table(analysis, with_times=with_times)
    if analysis.thresholds:
        yield Note("\n".join(_sentences(analysis.thresholds)))
    if analysis.rule:
        yield from _rule(analysis.rule, analysis.loss)
    yield from unfinished(analysis.runs)
    if measured:
        yield Note("\n".join(_reading(analysis)))


def _title(analysis: Analysis) -> str:
    states = Counter(run.state for run in analysis.runs)
    failed = sum(states[state] for state in FAILURES)
    size = f"{counted_as(analysis.points, 'point')} x {counted_as(analysis.seeds, 'seed')}"
    rule = ", and the tuning rule" if analysis.rule else ""
    ended = f"{states['finished']} finished" + (f", {failed} failed" if failed else "")
    return f"{analysis.name}: {size} on {analysis.base}{rule}, {ended}"


def counted_as(things: Sequence[object], name: str) -> str:
    """`1 point`, `2 points`."""
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


def shared(facts: Mapping[str, Any]) -> dict[str, str]:
    """By section of the config, what is said of the settings that all runs share."""
    sections: dict[str, list[str]] = {}
    for key, value in facts.items():
        section, leaf = key.split(".", 1)
        sections.setdefault(section, []).append(f"{leaf} {cell(setting(key, value))}")
    return {section: ", ".join(told) for section, told in sections.items()}


def _shared(facts: Mapping[str, Any]) -> list[str]:
    """A line on the data, and one on all else."""
    lines = {section: f"{section}: {told}" for section, told in shared(facts).items()}
    data = [lines.pop("data")] if "data" in lines else []
    return [*data, "; ".join(lines.values())]


def _table(analysis: Analysis, *, with_times: bool) -> Sheet:
    """A column that no point has is left out."""
    rows = analysis.points
    columns = {
        "": [("*" if row.best else "") + ("^" if row.front else "") for row in rows],
        **{
            name: [setting(key, row.settings[key]) for row in rows]
            for key, name in short_names(analysis.keys).items()
        },
        "n": [counted(row.n) for row in rows],
        "failed": _unless_all_zero([row.failed for row in rows]),
        analysis.loss: [row.loss for row in rows],
        **_differences(rows, analysis.baseline),
        **_imbalance(rows),
        "collapsed": [row.collapsed for row in rows],
        "verdict": [row.verdict for row in rows],
        "tokens_per_s": [row.tokens_per_s if with_times else None for row in rows],
    }
    shown = {
        name: cells for name, cells in columns.items() if any(c not in (None, "") for c in cells)
    }
    spare = tuple(name for name in SPARE if name in shown)
    return Sheet(tuple(shown), tuple(zip(*shown.values(), strict=True)), spare)


def _differences(rows: Sequence[Row], baseline: str) -> dict[str, list[Any]]:
    if not any(row.difference for row in rows):
        return {}
    found = [row.difference for row in rows]
    shown = [
        "baseline" if row.point == baseline else row.difference and row.difference.interval
        for row in rows
    ]
    return {
        "difference": shown,
        "lower": [d and f"{d.lower}/{d.interval.n}" for d in found],
        "p": [d and d.p_holm for d in found],
        "decision": [d and d.decision for d in found],
    }


def _imbalance(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The floor of cv is part of its header where it is one for all."""
    floors = {row.cv_floor for row in rows if row.cv_floor is not None}
    one = f" (floor {min(floors):.2g})" if len(floors) == 1 else ""
    return {
        f"cv{one}": [row.cv for row in rows],
        "floor": [None if one else row.cv_floor for row in rows],
        "max_vio": [row.max_violation for row in rows],
        "n_eff": [row.n_eff for row in rows],
        "dead": [row.dead_experts for row in rows],
        "dropped": _unless_all_zero([row.dropped for row in rows]),
    }


def _unless_all_zero(values: Sequence[float | None]) -> list[float | None]:
    return list(values) if any(values) else [None] * len(values)


def setting(key: str, value: Any) -> Any:
    """A value as a config file has it; a method in one line, a file by its name."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if key in PLACES:
        return named(value)
    if isinstance(value, dict) and key in compare.METHODS:
        return compare.method(compare.METHODS[key], value)
    return value


def _sentences(thresholds: Sequence[DoseResponse]) -> Iterator[str]:
    """One per combination of the other settings, with their values."""
    for response in thresholds[:SENTENCES]:
        values = [f"{key} {cell(setting(key, value))}" for key, value in response.others.items()]
        yield (", ".join(values) + ": " if values else "") + response.sentence()
    if len(thresholds) > SENTENCES:
        yield f"({SENTENCES} of {len(thresholds)} combinations; all are in the JSON)"


def _rule(rule: Tuned, loss: str) -> Iterator[Part]:
    """The way of the tuning rule at each seed, and its regret."""
    rows = ((c.seed, _way(c), c.loss, c.regret) for c in rule.courses)
    yield Sheet(
        ("seed", "alpha by the tuning rule", loss, f"less that of {rule.best}"), tuple(rows)
    )
    if rule.regret:
        yield Note(
            f"The rule's regret: {loss} {rule.regret} above {rule.best}, the best of the grid (chosen "
            f"on these seeds, which favours the grid), after {rule.runs:.1f} runs a seed."
        )


def _way(course: Course) -> str:
    """`0.01 raise 0.03 keep`."""
    steps = zip_longest(course.alphas, course.advice, fillvalue="...")
    return " ".join(f"{cell(alpha)} {advice}" for alpha, advice in steps)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last words of dotted keys, unless two end in the same."""
    leaves = {key: key.rpartition(".")[2] for key in keys}
    return leaves if len(set(leaves.values())) == len(leaves) else {key: key for key in keys}


def unfinished(runs: Sequence[Run]) -> Iterator[Note]:
    """Failed runs with their errors, and how many are still to come."""
    failed = [run for run in runs if run.state in FAILURES]
    if failed:
        errors = (f"  {run.name}: {cell(run.error)}" for run in failed)
        yield Note("\n".join(["failed:", *errors]))
    waiting = Counter(run.state for run in runs if run.state not in ("finished", *FAILURES))
    if waiting:
        counts = (f"{waiting[state]} {state}" for state in sorted(waiting))
        yield Note(f"not finished: {', '.join(counts)}")


def _reading(analysis: Analysis) -> Iterator[str]:
    """What the marks and columns of this table mean."""
    loss, found = analysis.loss, [row.difference for row in analysis.points if row.difference]
    yield f"+/-: half the width of a 95 % t interval of the mean over seeds. †: fewer than {FEW} seeds."
    if found:
        yield f"difference: {loss} less the baseline's at the same seed. lower: in how many seeds it is."
    if any(d.decision for d in found):  # each p has one
        margin = f"{analysis.margin:g} nats"
        yield f"decision at 5 %, Holm over the table: equivalent within {margin} (TOST), else by p (sign flips)."
    if len(analysis.points) > 1:
        yield f"*: lowest mean {loss}. ^: no point is as low in both {loss} and cv and lower in one."
    yield "cv: mean over layers; its floor: what uniformly random routing reads. Means over seeds, of the"
    yield "worst layer: max_vio (max_violation), n_eff, dead (share of dead experts), dropped."
    yield "verdict: of the worst layer, upper median over seeds. collapsed: in so many seeds, 95 % Wilson interval."
