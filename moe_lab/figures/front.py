"""What balance costs: loss against cv, a point per arm, and the front that no other arm beats."""

from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from moe_lab.figures import bands, series, style
from moe_lab.figures.arms import Arms
from moe_lab.figures.base import Absent, Chart, Drawn, Figure
from moe_lab.figures.outcomes import Measure, Row, outcome
from moe_lab.statistics import pareto

NAME, TITLE = "front", "Loss against cv, and the front"
BEST, FRONT, BEATEN = "best", "front", "beaten"
SHAPES = {BEST: "triangle-up", FRONT: "diamond", BEATEN: "circle"}
SPAN = 0.45  # opacity of intervals
LABELLED = 16  # arms: of more, only those of the front have their words beside them


def front(arms: Arms) -> Drawn:
    """A point per arm with 95 % intervals both ways."""
    points = rows(arms)
    if len(points) < 2:
        why = "fewer than two arms have finished runs with a loss and a cv: nothing to trade"
        return Absent(NAME, TITLE, why)
    reading = (
        "A point per arm, its mean over seeds, with 95 % intervals both ways, cut off at the frame. Faint: runs. "
        f"Joined by steps: the front, where no arm is as low in both {arms.loss} and cv and lower in one. "
        f"Best: of lowest mean {arms.loss}. {arms.reading}"
    )
    return Figure(NAME, TITLE, reading, _chart(arms, points, _single(arms)))


def rows(arms: Arms) -> pd.DataFrame:
    """Of each arm whose runs have both: means, ends of intervals, and whether it is best or on the front."""
    found = [
        {
            "arm": arm.label,
            "series": arm.series,
            "words": arm.panel or f"{arms.title} {arm.label}".strip(),
        }
        | {"point": arm.point, "run": y["run"], "n": y["n"]}
        | _named("cv", x)
        | _named("loss", y)
        for arm in arms.arms
        for x in Measure("cv", "", outcome("cv")).mean(arm)
        for y in Measure(arms.loss, "", outcome(arms.loss)).mean(arm)
    ]
    ahead = pareto([(row["cv"], row["loss"]) for row in found])
    lowest = min((row["loss"] for row in found), default=None)
    return pd.DataFrame(
        row | {"is": _word(on_front=is_ahead, best=row["loss"] == lowest)}
        for row, is_ahead in zip(found, ahead, strict=True)
    )


def _named(name: str, mean: Row) -> Row:
    return {name: mean["value"], f"{name}_low": mean["low"], f"{name}_high": mean["high"]}


def _word(*, on_front: bool, best: bool) -> str:
    """What an arm is, as its tooltip and its shape say it; the best one is always on the front."""
    if best:
        return BEST
    return FRONT if on_front else BEATEN


def _single(arms: Arms) -> pd.DataFrame:
    """Every run that has both."""
    found = [
        {"series": arm.series, "point": arm.point, "run": run.name}
        | {"cv": run.outcomes["cv"], "loss": run.outcomes[arms.loss]}
        for arm, run in arms.runs
    ]
    return pd.DataFrame(found).dropna(subset=["cv", "loss"])


def _chart(arms: Arms, points: pd.DataFrame, single: pd.DataFrame) -> Chart:
    x = {"title": style.titled("cv"), **_fitting(single["cv"])}
    y = {"title": style.titled(arms.loss), **_fitting(single["loss"])}
    here = [alt.X("cv:Q", **x), alt.Y("loss:Q", **y)]
    points_legend = replace(arms.series, lines=False).coloured()
    colour = points_legend if arms.is_grid else points_legend.legend(None)  # words stand beside
    base = alt.Chart(_cut(_cut(points, "cv", x["scale"]), "loss", y["scale"]))
    ahead = base.transform_filter(f"datum.is !== '{BEATEN}'")
    look = {"color": colour, "opacity": series.of_arms()}
    span = {"color": colour, "opacity": series.of_arms(SPAN)}
    words = base if len(points) <= LABELLED else ahead
    marks = alt.Scale(domain=[*SHAPES], range=[*SHAPES.values()])
    neutral = alt.Legend(symbolFillColor=style.MUTED, symbolStrokeWidth=0)
    shape = alt.Shape("is:N", title="", scale=marks, legend=neutral)
    layers = [
        alt.Chart(single)
        .mark_point(filled=True, size=18)
        .encode(*here, color=colour, opacity=series.of_single_runs(), tooltip=["run:N"]),
        base.mark_rule().encode(alt.X("cv_first:Q", **x), here[1], x2="cv_last:Q", **span),
        base.mark_rule().encode(here[0], alt.Y("loss_first:Q", **y), y2="loss_last:Q", **span),
        ahead.mark_line(interpolate="step-after", color=style.INK, strokeWidth=1.5).encode(*here),
        base.mark_point(filled=True, size=90).encode(
            *here, **look, shape=shape, tooltip=_told(arms)
        ),
        words.mark_text(align="left", baseline="bottom", dx=7, dy=-5).encode(
            *here, text="words:N", opacity=series.of_arms()
        ),
    ]
    return alt.layer(*layers).properties(width=style.WIDE[0], height=style.WIDE[1] + 60)


def _fitting(values: "pd.Series[float]") -> dict[str, Any]:
    """The scale of an axis, and its ticks where it is logarithmic."""
    return bands.fitting(pd.DataFrame({"value": values}))


def _cut(points: pd.DataFrame, name: str, scale: alt.Scale) -> pd.DataFrame:
    """As much of an interval as the frame has."""
    low, high = scale["domain"]
    first, last = (points[f"{name}_{end}"].astype(float) for end in ("low", "high"))
    return points.assign(
        **{f"{name}_first": first.clip(lower=low), f"{name}_last": last.clip(upper=high)}
    )


def _told(arms: Arms) -> list[alt.Tooltip]:
    ends = [f"{name}{end}" for name in ("cv", "loss") for end in ("", "_low", "_high")]
    numbers = [alt.Tooltip(f"{end}:Q", title=end.replace("loss", arms.loss)) for end in ends]
    return [
        alt.Tooltip("arm:N"),
        alt.Tooltip("is:N", title="is"),
        *numbers,
        alt.Tooltip("n:Q", title="seeds"),
    ]
