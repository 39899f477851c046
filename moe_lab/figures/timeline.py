"""What figures over steps share: lines of training with points of evaluations, their key, axes of magnitudes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from moe_lab.figures import style
from moe_lab.figures.subject import Subject

POINT = 36  # area of the point of an evaluation
DOT: Any = {"filled": True, "opacity": 1, "size": POINT}
STROKE = "stroke"  # shape of a line in a key
FEW = 3  # steps whose points are shown, since a line through them is short or none
FINE, FEW_POWERS = (1, 2, 5), 4  # ticks within a power of ten, of an axis of so few


@dataclass(frozen=True)
class Look:
    """How one kind of mark looks."""

    colour: str
    shape: str = STROKE  # in the key
    dash: Sequence[int] = (1, 0)


LINE = Look(style.COLOURS[0])
POINTS = Look(style.COLOURS[1], shape="circle")
FLOOR = Look(style.COLOURS[5], dash=(4, 3))


@dataclass(frozen=True)
class Key:
    """Lines and points that are told apart by a field, in one legend."""

    looks: Mapping[Any, Look]
    field: str = "kind"
    title: str | None = None

    @classmethod
    def of_lines(cls, values: Sequence[Any], field: str, title: str | None = None) -> "Key":
        """Each value a line of its own colour and dash."""
        looks = map(Look, style.COLOURS, [STROKE] * len(values), style.DASHES)
        return cls(dict(zip(values, looks, strict=False)), field, title)

    def lines(self, valued: alt.Chart, *, dots: bool) -> alt.Chart:
        """Lines, whose steps the pointer feels; they are seen as dots, too, where there are few."""
        dashes = self._scale([list(look.dash) for look in self.looks.values()])
        point = alt.OverlayMarkDef(opacity=1 if dots else 0, size=POINT, filled=True)
        return self.coloured(valued.mark_line(point=point)).encode(
            strokeDash=alt.StrokeDash(f"{self.field}:N", title=self.title, scale=dashes)
        )

    def points(self, valued: alt.Chart) -> alt.Chart:
        """Points of the shapes of their looks."""
        shapes = self._scale([look.shape for look in self.looks.values()])
        return self.coloured(valued.mark_point(**DOT)).encode(
            shape=alt.Shape(f"{self.field}:N", title=self.title, scale=shapes)
        )

    def coloured(self, chart: alt.Chart) -> alt.Chart:
        """Any marks, in the colours of their looks."""
        colours = self._scale([look.colour for look in self.looks.values()])
        of_points = any(look.shape != STROKE for look in self.looks.values())
        legend = alt.Legend(symbolSize=60, symbolType=alt.Undefined if of_points else STROKE)
        return chart.encode(
            color=alt.Color(f"{self.field}:N", title=self.title, scale=colours, legend=legend)
        )

    def _scale(self, values: list[Any]) -> alt.Scale:
        return alt.Scale(domain=list(self.looks), range=values)


def are_few(rows: pd.DataFrame) -> bool:
    """Whether steps are too few for a line to show them."""
    return bool(rows["step"].nunique() <= FEW)


def steps(rows: pd.DataFrame) -> alt.X:
    """The x axis, from 0 to the last step of rows; of a few steps each is labelled."""
    last, axis = int(rows["step"].max()), style.whole_axis()
    if last <= FEW:
        axis.values = list(range(last + 1))
    return alt.X("step:Q", axis=axis, scale=alt.Scale(domain=[0, max(last, 1)], nice=False))


def references(
    name: str, words: Mapping[str, float], side: str = "'middle'"
) -> tuple[alt.Chart, alt.Chart]:
    """Dashed rules at values of a measurement, their words beside the panel; `side`: their baseline, an expression."""
    rows = pd.DataFrame([{name: value, "words": text} for text, value in words.items()])
    exact = alt.Tooltip(f"{name}:Q", format=".4~f")
    rules = alt.Chart(rows).encode(y=f"{name}:Q", tooltip=["words:N", exact])
    return (
        rules.mark_rule(strokeDash=[4, 3], color=style.MUTED),
        rules.mark_text(align="left", baseline=alt.ExprRef(side), dx=7, color=style.MUTED).encode(
            x=alt.value("width"), text="words:N"
        ),
    )


@dataclass(frozen=True)
class Measured:
    """A panel of one measurement: a column of rows beside step, layer and split."""

    name: str
    rows: pd.DataFrame
    scale: alt.Scale

    def both(self) -> tuple[alt.Chart, alt.Chart]:
        """A line per layer through training, a point per evaluation."""
        trained = self._valued.transform_filter("datum.split === 'train'")
        evaluated = self._valued.transform_filter("datum.split === 'eval'")
        dots = are_few(self.rows[self.rows["split"] == "train"])
        return (
            self._key.lines(trained, dots=dots),
            self._key.coloured(evaluated.mark_point(**DOT)).encode(shape=self._shape),
        )

    def line(self) -> alt.Chart:
        """A line per layer with a dot for each row."""
        return self._key.lines(self._valued, dots=True)

    @property
    def _layers(self) -> list[int]:
        return sorted(self.rows["layer"].unique().tolist())

    @property
    def _key(self) -> Key:
        return Key.of_lines(self._layers, "layer", "layer")

    @property
    def _shape(self) -> alt.Shape:
        scale = alt.Scale(domain=self._layers, range=list(style.SHAPES))
        return alt.Shape("layer:N", scale=scale, legend=None)

    @property
    def _valued(self) -> alt.Chart:
        said = ["layer:O", "step:Q", *(["split:N"] if "split" in self.rows else [])]
        y = alt.Y(f"{self.name}:Q", title=style.titled(self.name), scale=self.scale)
        return (
            alt.Chart(self.rows)
            .encode(
                x=steps(self.rows),
                y=y,
                tooltip=[*said, alt.Tooltip(f"{self.name}:Q", format=".4~g")],
            )
            .properties(width=style.PANEL[0], height=style.PANEL[1])
        )


def onsets(subject: Subject, layer: int) -> tuple[alt.Chart, ...]:
    """A rule where each collapse of the layer began, with words at its upper end; none where none did."""
    found = [onset for onset in subject.onsets if onset["layer"] == layer]
    if not found:
        return ()
    begun = alt.Chart(pd.DataFrame(found)).encode(x="step:Q", tooltip="mark:N")
    words = begun.mark_text(align="left", baseline="top", dx=4, color=style.INK)
    return (
        begun.mark_rule(color=style.INK, strokeDash=[4, 3]),
        words.encode(y=alt.value(0), text="mark:N"),
    )


def magnitudes(values: "pd.Series[float]", title: str) -> alt.Y:
    """A logarithmic y axis of a named field; with zeros in it, linear below the least of its other values."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    if positive.empty:
        return alt.Y(f"{values.name}:Q", title=title)
    lowest, highest = float(positive.min()), float(positive.max())
    powers = range(floor(log10(lowest)), ceil(log10(highest)) + 1)
    fine = FINE if len(powers) <= FEW_POWERS else FINE[:1]
    ticks = [n * 10.0**power for power in powers for n in fine]
    if len(positive) == len(finite):
        scale = alt.Scale(type="log", domain=[lowest / 1.1, highest * 1.1], nice=False)
        return alt.Y(f"{values.name}:Q", title=title, scale=scale, axis=_ticked(ticks))
    scale = alt.Scale(type="symlog", constant=lowest, domain=[0, highest * 1.1], nice=False)
    return alt.Y(f"{values.name}:Q", title=title, scale=scale, axis=_ticked([0, *ticks]))


def _ticked(values: list[float]) -> alt.Axis:
    return alt.Axis(format="~g", values=values)
