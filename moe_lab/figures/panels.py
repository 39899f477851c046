"""A figure with one panel per layer, each titled with how its routing ended."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import altair as alt
import pandas as pd

from moe_lab.figures import style
from moe_lab.figures.subject import Subject
from moe_lab.figures.thinning import Spans

DIGITS = 4  # of a load
FEW = 8  # steps


def beside(charts: Sequence[Any]) -> alt.ConcatChart:
    """Charts of layers beside each other."""
    return alt.concat(*charts, columns=3)


def frame(subject: Subject, layer: int, **size: int) -> dict[str, Any]:
    """Size and title of one layer's panel."""
    width, height = style.PANEL
    titled = title(f"layer {layer}", said(subject, layer))
    return {"width": width, "height": height, "title": titled, **size}


def title(first: str, second: str) -> alt.TitleParams:
    """A line of a panel's title and a fainter one under it."""
    return alt.TitleParams(
        first,
        limit=style.PANEL[0],
        subtitle=second,
        subtitleColor=style.MUTED,
        subtitleFontSize=11,
    )


def said(subject: Subject, layer: int) -> str:
    """A layer's verdict and how many experts its load at the end amounts to."""
    end = subject.endings.get(layer)
    amount = "" if end is None else f"n_eff {end.n_eff:.1f} of {len(end.load)}"
    return ", ".join(filter(None, (_verdict(subject, layer), amount)))


def _verdict(subject: Subject, layer: int) -> str:
    course = subject.courses[layer]
    since = f" since step {course.onsets[-1]}" if course.verdict == "collapsed" else ""
    return f"{course.verdict or ''}{since}"


def over_bins(labels: Sequence[str], **found: Spans) -> pd.DataFrame:
    """A row per bin: first and last step, and lists of the labels and of the numbers of each Spans.

    `flattened` makes of it a row per bin and label: a definition that holds lists is small.
    """
    bins = next(iter(found.values()))
    numbers = {
        name: [list(map(_short, row)) for row in spans.value] for name, spans in found.items()
    }
    places = {"first": bins.first, "last": bins.last, "label": [list(labels)] * len(bins.first)}
    return pd.DataFrame(places | numbers)


def flattened(*names: str) -> alt.Chart:
    """A chart over what `over_bins` made of Spans of these names, with the place of each bin and its steps in words.

    A step reaches from half a step before it to half a step after it.
    """
    return (
        alt.Chart()
        .transform_flatten(["label", *names])
        .transform_calculate(
            start="datum.first - 0.5",
            end="datum.last - 0.5",
            middle="(datum.first + datum.last - 1) / 2",
            steps="datum.first + (datum.last - datum.first > 1 ? '–' + (datum.last - 1) : '')",
        )
    )


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if isfinite(value) else None


def onset_rules(subject: Subject, layer: int) -> list[Any]:
    """A rule in black and white, to be seen on any colour, where a collapse of the layer began; none where none did."""
    found = [onset for onset in subject.onsets if onset["layer"] == layer]
    if not found:
        return []
    begun = alt.Chart(pd.DataFrame(found)).encode(x=alt.X("step:Q"), tooltip=alt.Tooltip("mark:N"))
    return [begun.mark_rule(color="#fff"), begun.mark_rule(color="#000", strokeDash=[4, 4])]


def step_axis(bins: Spans, field: str) -> alt.X:
    """The steps of all bins; of a few each is labelled."""
    first, last = int(bins.first[0]), int(bins.last[-1])
    axis = style.whole_axis()
    axis.tickCount = 5
    if last - first <= FEW:
        axis.values = list(range(first, last))
    scale = alt.Scale(domain=[first - 0.5, last - 0.5], nice=False)
    return alt.X(f"{field}:Q", axis=axis, scale=scale)
