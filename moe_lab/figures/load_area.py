"""How a layer's assignments are shared out among its experts over time."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from moe_lab.figures import panels, style, thinning
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.figures.ending import Part, parts
from moe_lab.figures.subject import Subject
from moe_lab.figures.thinning import Spans

NAME, TITLE = "load-area", "Expert load over time, stacked"
APART = 8  # of many experts, drawn by themselves
LABELLED = 0.05  # share at the end from which on there is room for a label
WIDTH = style.PANEL[0] - 40  # which the names need


def load_area(subject: Subject) -> Drawn:
    """Stacked shares of the assignments for each drawn layer, the expert that ends most loaded lowest."""
    if not subject.trained:
        return Absent(NAME, TITLE, "no step of a MoE layer is logged yet")
    charts = [_panel(subject, layer) for layer in subject.trained]
    drawn = f"the {APART} most loaded ones" if subject.n_experts > style.EXPERTS else "all"
    reading = (
        "Shares of the assignments in training, means of bins of steps; they add up to 100 %. Experts from below by "
        f"their load at the end, {drawn} by themselves, their numbers at the right. Dashed rule: a collapse began."
        f"{subject.hidden}"
    )
    return Figure(NAME, TITLE, reading, panels.beside(charts).resolve_scale(color="independent"))


def _panel(subject: Subject, layer: int) -> Any:
    steps, loads = subject.trained[layer]
    stacked = parts(subject.endings[layer], apart=APART)
    bins = thinning.means(steps, np.stack([part.of(loads) for part in stacked], axis=1))
    axis = alt.Axis(format="%", title=style.titled("load", "share"))
    shares = (
        panels.flattened("share")
        .transform_stack(as_=["low", "high"], stack="share", groupby=["first", "last"])
        .encode(y=alt.Y("low:Q", axis=axis, scale=alt.Scale(domain=[0, 1])), y2=alt.Y2("high:Q"))
    )
    cells = shares.transform_filter("datum.last > datum.first").encode(
        x=panels.step_axis(bins, "start"),
        x2=alt.X2("end:Q"),
        tooltip=[
            alt.Tooltip("label:N", title="expert"),
            alt.Tooltip("steps:N"),
            alt.Tooltip("share:Q", format=".2%", title="load"),
        ],
    )
    return alt.layer(
        shares.mark_area(stroke=style.GRID, strokeWidth=0.5).encode(
            x=panels.step_axis(bins, "middle"), color=_coloured(stacked)
        ),
        cells.mark_rect(opacity=0),
        *panels.onset_rules(subject, layer),
        _names(stacked, bins),
        data=panels.over_bins([part.label for part in stacked], share=_to_the_edges(bins)),
        **panels.frame(subject, layer, width=WIDTH),
    )


def _to_the_edges(bins: Spans) -> Spans:
    """The first and the last bin once more at either end, without a width: an area reaches from edge to edge."""
    return Spans(
        np.r_[bins.first[:1], bins.first, bins.last[-1:]],
        np.r_[bins.first[:1], bins.last, bins.last[-1:]],
        np.concatenate([bins.value[:1], bins.value, bins.value[-1:]]),
    )


def _coloured(stacked: Sequence[Part]) -> alt.Color:
    labels, colours = zip(*((part.label, part.colour) for part in stacked), strict=True)
    return alt.Color("label:N", legend=None, scale=alt.Scale(domain=labels, range=colours))


def _names(stacked: Sequence[Part], bins: Spans) -> Any:
    """Beside the last bin the experts that have room for their names."""
    last = bins.value[-1]
    places = np.cumsum(last) - last / 2
    rows = [
        {"low": place, "name": part.label}
        for part, share, place in zip(stacked, last, places, strict=True)
        if share >= LABELLED
    ]
    return (
        alt.Chart(pd.DataFrame(rows))
        .mark_text(align="left", dx=4, color=style.INK)
        .encode(x=alt.value(WIDTH), y=alt.Y("low:Q"), text=alt.Text("name:N"))
    )
