"""How far the held-out loss is from the best possible one, beside what simpler predictors reach."""

from collections.abc import Mapping
from math import inf, nan
from typing import Any

import altair as alt
import pandas as pd

from moe_lab.figures import style, timeline
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.figures.subject import Subject

NAME = "gap"
TITLES = {"gap": "Gap above Bayes, held-out data", "lm_loss": "Held-out loss"}
READINGS = {
    "gap": "Points: exact mean divergence from the Bayes predictor, which is at 0. The axis is logarithmic above 0.1 "
    "and linear below.",
    "lm_loss": "Points: cross-entropy of the next token. The best possible predictor of these data is not known.",
}
BAYES, ORACLE = "bayes", "oracle"
LINEAR = 0.1  # nats per token below which the axis of a gap is linear
NO_BAYES = {"loss": 0.0, "error": 0.0}
SIDE = "datum.{} < 0 ? 'top' : 'bottom'"  # of its end: the oracle lies just below Bayes
WORDS = 90  # pixels for a rung's words beside the panel
TICKS = (0, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
RUNGS = "Rules: the best that predictors of other kinds can do."
ERROR = "Their distance from Bayes is known to ±{:.2g} (standard error)."


def gap(subject: Subject) -> Drawn:
    """The gap of each evaluation, or its lm_loss where no gap is known, with the data's ladder as rules."""
    table = subject.frames.eval
    column = "gap" if table["gap"].notna().any() else "lm_loss"
    rows = table[["step", column]].replace([inf, -inf], nan).dropna()
    if rows.empty:
        return Absent(NAME, TITLES["gap"], "no evaluation yet")
    ladder = subject.frames.record["data"]["ladder"]
    bayes = next((rung for rung in ladder if rung["rung"] == BAYES), NO_BAYES)
    rungs = _rungs(ladder, bayes["loss"] if column == "gap" else 0.0)
    rules = timeline.references(column, rungs, side=SIDE.format(column)) if rungs else ()
    chart = alt.layer(*rules, _course(rows, column, _scale(rows, rungs, column)))
    sized = chart.properties(width=style.WIDE[0] - WORDS, height=style.WIDE[1])
    return Figure(NAME, TITLES[column], _reading(column, bayes["error"], rungs), sized)


def _reading(column: str, error: float, rungs: Mapping[str, float]) -> str:
    said = [READINGS[column]]
    if rungs:
        said.append(RUNGS)
    if any(words.startswith(ORACLE) for words in rungs):
        said.append("The oracle is told the domain.")
    if error:
        said.append(ERROR.format(error))
    return " ".join(said)


def _rungs(ladder: list[dict[str, Any]], origin: float) -> dict[str, float]:
    """Words and value of each rung, from the best."""
    values = {rung["rung"]: rung["loss"] - origin for rung in ladder}
    best_first = sorted(values.items(), key=lambda item: item[1])
    return {f"{name} {value:.2f}".replace("-", "−"): value for name, value in best_first}


def _scale(rows: pd.DataFrame, rungs: Mapping[str, float], column: str) -> alt.Scale:
    values = [*rows[column], *rungs.values()]
    if column == "gap":
        domain = [min(0, *values) - LINEAR / 4, max(values) * 1.1]
        return alt.Scale(type="symlog", constant=LINEAR, domain=domain, nice=False)
    return alt.Scale(zero=False)


def _course(rows: pd.DataFrame, column: str, scale: alt.Scale) -> alt.Chart:
    axis = alt.Axis(values=list(TICKS), format="~g") if column == "gap" else alt.Axis()
    point = alt.OverlayMarkDef(filled=True, size=timeline.POINT, color=style.COLOURS[0])
    line = alt.Chart(rows).mark_line(color=style.COLOURS[0], point=point)
    encoded: alt.Chart = line.encode(
        x=timeline.steps(rows),
        y=alt.Y(f"{column}:Q", title=style.titled(column), scale=scale, axis=axis),
        tooltip=["step:Q", alt.Tooltip(f"{column}:Q", format=".4~f")],
    )
    return encoded
