"""A gate for CI: rules against a run's last evaluation. A rule that cannot be decided is never passed in silence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from moe_lab import columns
from moe_lab.metrics.verdict import GRAVITY, SUSTAINED, Verdict
from moe_lab.registry import BALANCERS
from moe_lab.report import diagnosis, rules, runs
from moe_lab.report.layers import PLACE, declared, last_evaluation, measured, plain
from moe_lab.report.pages import Note, Part, Sheet
from moe_lab.report.render import cell
from moe_lab.report.rules import Rule
from moe_lab.store.read import StoredRun

if TYPE_CHECKING:
    import pandas as pd

TABLES = (
    "cv",
    "aux_loss",
    "router",
    "eval",
)  # of two columns of one name, the one per layer counts
FAILING: dict[str, tuple[Verdict, ...]] = {
    "collapse": ("collapsed",),
    "skew": ("skewed", "collapsed"),
}
DECIDED = {"collapse": SUSTAINED, "skew": 1}  # steps before which a verdict cannot be
DOMAIN = "<domain>"
Layers = Mapping[
    int | None, float | None
]  # a column's value per layer; under None: of the whole model


@dataclass(frozen=True)
class Result:
    """What a rule came to."""

    rule: str
    value: float | str | None  # of the worst layer
    layer: int | None
    limit: float | None
    result: Literal["passed", "failed", "no value"]
    reason: str | None = None


@dataclass(frozen=True)
class Gate:
    """All rules of one gate."""

    directory: str
    state: str
    warnings: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """Whether every rule was decided and passed; a run that diverged passes none."""
        return self.state != "diverged" and all(r.result == "passed" for r in self.results)

    def parts(self) -> list[Part]:
        """The gate as a table."""
        word = "passed" if self.passed else "FAILED"
        rows = [(r.rule, _with_layer(r), r.limit, _words(r)) for r in self.results]
        heading = Note(f"gate {word}: {cell(self.directory)} ({self.state})", heading=True)
        return [heading, Sheet(("rule: fails if", "value", "limit", "result"), tuple(rows))]


@dataclass(frozen=True)
class Seen:
    """What a run's last evaluation shows."""

    values: Mapping[str, Layers]
    verdicts: Mapping[int, Verdict | None]
    step: int  # the last one that was logged


def check(directory: Path, asked: Sequence[Rule], baseline: Path | None = None) -> Gate:
    """Hold a run, finished or not, against rules.

    Raises ConfigError for a name that the run, or the baseline, has no column of.
    """
    run = runs.open_run(directory)
    seen = _seen(run)
    rules.refuse_unknown(asked, seen.values)
    reference = None if baseline is None else _seen(runs.open_run(baseline))
    if reference is not None:
        rules.refuse_unknown([rule for rule in asked if rule.needs_baseline], reference.values)
    results = tuple(_judged(rule, seen, reference) for rule in asked)
    return Gate(str(directory), run.state, _warnings(run, seen), results)


def known_names(n_experts: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Before a run exists: the columns that it can have, and the endings of those named after domains."""
    balancers = BALANCERS.names()
    tables = columns.tables(n_experts=n_experts, balancers=balancers, domains=(DOMAIN, "…"))
    names = [
        column.name for table in TABLES for column in tables[table] if column.name not in PLACE
    ]
    own = tuple(name for name in names if not name.startswith((DOMAIN, "…")))
    endings = (name.removeprefix(DOMAIN) for name in names if name.startswith(DOMAIN))
    return own, tuple(endings)


def _seen(run: StoredRun) -> Seen:
    values: dict[str, Layers] = {}
    for name in filter(run.has_table, TABLES):
        values = _columns(runs.read(run, name)) | values
    utilization, top_k = runs.read(run, "utilization"), run.config["moe"]["top_k"]
    courses = diagnosis.courses(utilization, runs.read(run, "cv"), top_k)
    trained = utilization[utilization["split"] == "train"]["step"]
    step = int(trained.max()) if len(trained) else 0
    return Seen(values, {course.layer: course.verdict for course in courses}, step)


def _columns(table: "pd.DataFrame") -> dict[str, Layers]:
    rows = measured(table) if "split" in table else last_evaluation(table)
    places = rows["layer"].tolist() if "layer" in rows else [None] * len(rows)
    cells = {str(name): map(plain, rows[name]) for name in rows if name not in PLACE}
    return {name: dict(zip(places, column, strict=True)) for name, column in cells.items()}


def _judged(rule: Rule, seen: Seen, reference: Seen | None) -> Result:
    if rule.limit is None:
        return _judged_verdict(rule, seen)
    base = _worst(rule, reference.values[rule.name]) if reference and rule.needs_baseline else None
    if rule.needs_baseline and base is None:
        return _undecided(rule, "the baseline has none")
    worst = _worst(rule, seen.values[rule.name])
    if worst is None:
        return _undecided(rule, _reason(rule, seen))
    (layer, value), limit = worst, rule.limit.value(base and base[1])
    if rule.meets(value, limit):
        return Result(rule.text, value, layer, limit, "failed")
    if None in seen.values[rule.name].values():
        return _undecided(rule, _reason(rule, seen))
    return Result(rule.text, value, layer, limit, "passed")


def _judged_verdict(rule: Rule, seen: Seen) -> Result:
    """By the gravest verdict of a layer. A run too short to be called collapsed is not called sound."""
    verdicts = {layer: verdict for layer, verdict in seen.verdicts.items() if verdict}
    if not verdicts:
        return _undecided(rule, _reason(rule, seen))
    layer = max(verdicts, key=lambda layer: GRAVITY.index(verdicts[layer]))
    if verdicts[layer] in FAILING[rule.name]:
        return Result(rule.text, verdicts[layer], layer, None, "failed")
    if seen.step < DECIDED[rule.name]:
        return _undecided(
            rule, f"shows after {DECIDED[rule.name]} steps, and the run has {seen.step}"
        )
    return Result(rule.text, verdicts[layer], layer, None, "passed")


def _worst(rule: Rule, layers: Layers) -> tuple[int | None, float] | None:
    """The layer, and its value, that comes nearest to failing or is furthest beyond; None if all are blank."""
    present = [(layer, value) for layer, value in layers.items() if value is not None]
    extreme = max if rule.comparison in (">", ">=") else min
    return extreme(present, key=lambda found: found[1], default=None)


def _undecided(rule: Rule, reason: str) -> Result:
    return Result(rule.text, None, None, None, "no value", reason)


def _reason(rule: Rule, seen: Seen) -> str:
    """Why a rule finds nothing to be held against; a column's meaning says when it is blank."""
    if not any(seen.values.values()):
        return "no evaluation yet"
    if not seen.verdicts:
        return "the run has no MoE layer"
    if rule.limit is None:
        return "no training step yet"
    column = declared().get(rule.name)
    found = re.search(r"blank .*", column.meaning) if column else None
    return found[0] if found else "blank in the last evaluation"


def _warnings(run: StoredRun, seen: Seen) -> tuple[str, ...]:
    found = run.state
    if found == "finished":
        return ()
    return (f"{run.directory} is {found} at step {seen.step}: it is gated on what it has",)


def _with_layer(result: Result) -> str:
    value = cell(result.value)
    return value if result.layer is None else f"{value} (layer {result.layer})"


def _words(result: Result) -> str:
    word = "FAILED" if result.result == "failed" else result.result
    return f"{word}: {result.reason}" if result.reason else word
