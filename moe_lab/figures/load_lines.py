"""Each expert's load over time as a line, or of many experts how they are spread."""

import json
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_lab.figures import panels, style, thinning
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.figures.series import Series
from moe_lab.figures.subject import Subject

NAME, TITLE = "load-lines", "Expert load over time"
CELLS = 6_000  # bins times lines of all panels together, at most
BAND = 0.15  # opacity
AT_LEAST = 4  # times the fair share, that axes reach if there can be such a load
QUANTILES = {"most loaded": 1.0, "90 %": 0.9, "median": 0.5, "10 %": 0.1, "least loaded": 0.0}


@dataclass(frozen=True)
class Lines:
    """What is drawn against the steps, and where the fair share lies."""

    labels: list[str]
    values: NDArray[np.float64]  # (S, lines)
    fair: float
    axis: alt.Axis
    scale: alt.Scale

    @classmethod
    def of(cls, loads: NDArray[np.float64], largest: float) -> "Lines":
        """Every expert's share; of more than style.EXPERTS quantiles over them, relative to the fair share.

        These on an axis from 0 that is a logarithm from about 1 on. `largest`: share that the axes reach.
        """
        n_experts = loads.shape[1]
        if n_experts <= style.EXPERTS:
            labels = list(map(str, range(n_experts)))
            axis = alt.Axis(format="%", title=style.titled("load", "share"))
            scale = alt.Scale(domain=[0, largest], nice=False)
            return cls(labels, loads, 1 / n_experts, axis, scale)
        spread = np.quantile(n_experts * loads, list(QUANTILES.values()), axis=1).T
        top = n_experts * largest
        axis = alt.Axis(
            title="load / fair share", values=[0, *(2**i for i in range(16) if 2**i < top)]
        )
        scale = alt.Scale(type="symlog", constant=0.5, domain=[0, top], nice=False)
        return cls(list(QUANTILES), spread, 1, axis, scale)

    def y(self, name: str) -> alt.Y:
        """A field on the axis of all."""
        return alt.Y(f"{name}:Q", axis=self.axis, scale=self.scale)


def load_lines(subject: Subject) -> Drawn:
    """A line per expert for each drawn layer, or quantiles over many, with the fair share and onsets of collapse."""
    if not subject.trained:
        return Absent(NAME, TITLE, "no step of a MoE layer is logged yet")
    largest = _largest(subject)
    charts = [_panel(subject, layer, largest) for layer in subject.trained]
    many = f" Lines are quantiles over the {subject.n_experts} experts at each step."
    reading = (
        "Batches of training: a line is the mean of each bin of steps, its band the least and the greatest step. "
        "Dotted rule: the fair share. Dashed rule: a collapse began."
        f"{many if subject.n_experts > style.EXPERTS else ''}{subject.hidden}"
    )
    return Figure(NAME, TITLE, reading, panels.beside(charts))


def _largest(subject: Subject) -> float:
    """A share that no load exceeds, and not so small that the noise of a balanced layer fills the panel."""
    found = max(float(np.nanmax(loads)) for _, loads in subject.trained.values())
    return 1.03 * max(found, min(1 / subject.top_k, AT_LEAST / subject.n_experts))


def _panel(subject: Subject, layer: int, largest: float) -> Any:
    steps, loads = subject.trained[layer]
    lines = Lines.of(loads, largest)
    most = min(thinning.BINS, CELLS // (len(lines.labels) * len(subject.trained)))
    spans = {
        "mean": thinning.means(steps, lines.values, most),
        "low": thinning.lowest(steps, lines.values, most),
        "high": thinning.highest(steps, lines.values, most),
    }
    return alt.layer(
        *_marks(subject, lines, spans["mean"]),
        _fair(lines),
        *panels.onset_rules(subject, layer),
        data=panels.over_bins(lines.labels, **spans),
        **panels.frame(subject, layer),
    )


def _marks(subject: Subject, lines: Lines, bins: thinning.Spans) -> list[Any]:
    series = Series(
        tuple(lines.labels), "expert" if subject.n_experts <= style.EXPERTS else "experts"
    )
    base = panels.flattened("mean", "low", "high").encode(
        x=panels.step_axis(bins, "middle"), color=series.coloured("label")
    )
    band = base.mark_area(fillOpacity=BAND).encode(y=lines.y("low"), y2=alt.Y2("high:Q"))
    means = base.encode(y=lines.y("mean"), tooltip=_tooltip(series.title))
    line = means.mark_line(strokeWidth=1.6).encode(strokeDash=series.dashed("label"))
    return [band, line] if len(bins.first) > 1 else [_names(means, lines, bins, series)]


def _names(means: alt.Chart, lines: Lines, bins: thinning.Spans, series: Series) -> Any:
    """A single step has no line: each label at its value, beside the others."""
    share = f"(indexof({json.dumps(lines.labels)}, datum.label) + 0.5) / {len(lines.labels)}"
    return (
        means.transform_calculate(place=f"datum.start + {share} * (datum.end - datum.start)")
        .mark_text(fontWeight=600)
        .encode(x=panels.step_axis(bins, "place"), text=alt.Text("label:N"))
        .encode(color=series.coloured("label").legend(None))
    )


def _tooltip(title: str) -> list[alt.Tooltip]:
    numbers = [alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("mean", "low", "high")]
    return [alt.Tooltip("label:N", title=title), alt.Tooltip("steps:N"), *numbers]


def _fair(lines: Lines) -> Any:
    return (
        alt.Chart(pd.DataFrame({"fair": [lines.fair]}))
        .mark_rule(strokeDash=[1, 3], strokeWidth=1.5, color=style.INK)
        .encode(y=lines.y("fair"))
    )
