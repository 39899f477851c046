"""The task's loss over time, and beside it, never added to it, what the balancers read or weigh."""

import altair as alt
import pandas as pd

from moe_lab.figures import style, thinning, timeline
from moe_lab.figures.base import Absent, Chart, Drawn, Figure
from moe_lab.figures.subject import Subject

NAME, TITLE = "losses", "Loss of the task, and the balance losses apart from it"
KEY = timeline.Key({"training": timeline.LINE, "evaluation": timeline.POINTS})
TASK = "lm_loss, line: batches of training; points: held-out data; no penalty inside."
WEIGHTED = "Balance losses as they are optimised, mean over MoE layers, batches of training."
RAW = (
    "No balance loss is optimised: what is drawn are the raw ones, measured all the same, mean over MoE layers of "
    "batches of training."
)
RAW_TITLE = "balance loss, raw"


def losses(subject: Subject) -> Drawn:
    """lm_loss of training and of evaluations; beside it every weighted balance loss, or the raw ones if none weighs."""
    task = _task(subject)
    balance, weighs = _balance(subject)
    drawn: list[Chart] = []
    reading: list[str] = []
    if task["lm_loss"].notna().any():
        drawn.append(_task_panel(task))
        reading.append(TASK)
    if len(balance):
        drawn.append(_balance_panel(balance, weighs=weighs))
        reading.append(WEIGHTED if weighs else RAW)
    if not drawn:
        return Absent(NAME, TITLE, "no loss is logged yet")
    chart = alt.concat(*drawn, columns=2).resolve_scale(
        color="independent", strokeDash="independent", shape="independent"
    )
    return Figure(NAME, TITLE, " ".join(reading), chart)


def _task(subject: Subject) -> pd.DataFrame:
    kinds = {
        "training": thinning.extremes(subject.frames.steps, "lm_loss", []),
        "evaluation": subject.frames.eval,
    }
    rows = [table[["step", "lm_loss"]].assign(kind=kind) for kind, table in kinds.items()]
    return pd.concat([part for part in rows if len(part)] or rows)


def _balance(subject: Subject) -> tuple[pd.DataFrame, bool]:
    """Rows of step, source and loss, thinned; and whether they are weighted ones, raw ones else."""
    table = subject.frames.aux_loss
    means = table[table["split"] == "train"].drop(columns="split").groupby("step").mean()
    weighted = means.filter(regex="_weighted$")
    optimised = weighted.loc[:, weighted.abs().max() > 0]
    chosen = optimised if len(optimised.columns) else means.filter(regex="_raw$")
    long = chosen.reset_index().melt("step", var_name="source", value_name="balance")
    rows = thinning.extremes(long.dropna(ignore_index=True), "balance", ["source"])
    return rows, bool(len(optimised.columns))


def _task_panel(rows: pd.DataFrame) -> Chart:
    valued = _panel(rows).encode(
        y=alt.Y("lm_loss:Q", title=style.titled("lm_loss"), scale=alt.Scale(zero=False)),
        tooltip=["step:Q", "kind:N", alt.Tooltip("lm_loss:Q", format=".4~f")],
    )
    dots = timeline.are_few(rows[rows["kind"] == "training"])
    return alt.layer(
        KEY.lines(valued.transform_filter("datum.kind === 'training'"), dots=dots),
        KEY.points(valued.transform_filter("datum.kind === 'evaluation'")),
    )


def _balance_panel(rows: pd.DataFrame, *, weighs: bool) -> Chart:
    key = timeline.Key.of_lines(list(dict.fromkeys(rows["source"])), "source")
    weighted = alt.Y("balance:Q", title=style.titled("aux_loss"))
    raw = timeline.magnitudes(rows["balance"], RAW_TITLE)
    valued = _panel(rows).encode(
        y=weighted if weighs else raw,
        tooltip=["step:Q", "source:N", alt.Tooltip("balance:Q", format=".4~g")],
    )
    return key.lines(valued, dots=timeline.are_few(rows))


def _panel(rows: pd.DataFrame) -> alt.Chart:
    base = alt.Chart(rows).encode(x=timeline.steps(rows))
    return base.properties(width=style.PANEL[0] + 40, height=style.PANEL[1] + 30)
