"""cv of each layer over time, beside what sampling alone would read."""

import altair as alt
import pandas as pd

from moe_lab.figures import panels, style, thinning, timeline
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.figures.subject import Subject

NAME, TITLE = "cv", "Coefficient of variation of the load, by layer"
KEY = timeline.Key(
    {"training": timeline.LINE, "evaluation": timeline.POINTS, "cv_floor": timeline.FLOOR}
)
READING = (
    "Line: batches of training, of each bin of steps the least and the greatest. Points: held-out data. "
    "Dashed: cv_floor, what uniformly random routing of as many tokens of training reads."
)
HEADROOM = 1.12  # for the words of an onset


def cv(subject: Subject) -> Drawn:
    """cv of each training step's load and of each evaluation's, with cv_floor and the onsets of collapse."""
    table = subject.frames.cv
    shown = table[table["layer"].isin(subject.layers)]
    if shown["cv"].isna().all():
        return Absent(NAME, TITLE, "no step of a MoE layer is logged yet")
    domain = [0, float(shown["cv"].max()) * HEADROOM or 1]
    y = alt.Y("cv:Q", title=style.titled("cv"), scale=alt.Scale(domain=domain, nice=False))
    layers = [
        alt.layer(
            *timeline.onsets(subject, layer),
            *_drawn(_rows(shown[shown["layer"] == layer]), y),
            **panels.frame(subject, layer),
        )
        for layer in subject.layers
    ]
    return Figure(NAME, TITLE, READING + subject.hidden, panels.beside(layers))


def _rows(layer: pd.DataFrame) -> pd.DataFrame:
    trained = layer[layer["split"] == "train"]
    floor = trained.assign(cv=trained["cv_floor"])
    kinds = {
        "training": thinning.extremes(trained, "cv", []),
        "evaluation": layer[layer["split"] == "eval"],
        "cv_floor": floor[_corners(floor["cv"])],
    }
    return pd.concat(rows[["step", "cv"]].assign(kind=kind) for kind, rows in kinds.items())


def _corners(values: "pd.Series[float]") -> "pd.Series[bool]":
    """Where a line begins, ends or turns: all that one of constant pieces needs."""
    return (values != values.shift(1)) | (values != values.shift(-1))


def _drawn(rows: pd.DataFrame, y: alt.Y) -> tuple[alt.Chart, alt.Chart]:
    valued = alt.Chart(rows).encode(
        x=timeline.steps(rows),
        y=y,
        tooltip=["step:Q", "kind:N", alt.Tooltip("cv:Q", format=".4~g")],
    )
    dots = timeline.are_few(rows[rows["kind"] == "training"])
    return (
        KEY.lines(valued.transform_filter("datum.kind !== 'evaluation'"), dots=dots),
        KEY.points(valued.transform_filter("datum.kind === 'evaluation'")),
    )
