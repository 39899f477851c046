"""Every measurement against the first setting in which arms differ: dose and response, or category by category."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from moe_lab.figures import series, style
from moe_lab.figures.along import Along
from moe_lab.figures.arms import Arms
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.figures.responses import Responses, titled_panels
from moe_lab.report.doses import DoseResponse

NAME, TITLE = "dose-response", "Every measurement against {}"
MARKS = (
    "Large: means over seeds with 95 % intervals (of shares Wilson's), cut off at the frame. Small: single runs. "
    "Ring: the baseline. Dashed: no difference from it, and cv_floor."
)
AMBER = "#b8860b"  # of where collapse ends
ROW = 30  # pixels of a category
RING = 190  # its area in pixels
EXTENT = 40  # pixels of the numbers of an axis, so that panels stand below each other
BESIDE = 7  # pixels between an interval and the runs it is of


def dose_responses(arms: Arms, thresholds: Sequence[DoseResponse] = ()) -> Drawn:
    """A panel per measurement. thresholds: where collapse ends along the same setting."""
    along = Along(arms)
    title = TITLE.format(along.title or "what was run")
    if len(arms.arms) < 2:
        why = "there is one arm only, and so nothing that a measurement could depend on"
        return Absent(NAME, title, why)
    table = Responses(along, tuple(thresholds)).table()
    if table.empty:
        return Absent(NAME, title, "no run has finished yet")
    height = style.PANEL[1] if along.doses else 40 + ROW * len(along.categories)
    panel = alt.layer(*_layers(along), data=table)
    chart = (
        panel.properties(width=style.PANEL[0] - 50, height=height)
        .facet(alt.Facet("panel:N", title=None, sort=titled_panels(table)), columns=3)
        .resolve_scale(x="independent", y="independent")
    )
    return Figure(NAME, title, f"{MARKS}{_shaded(along, thresholds)} {arms.reading}", chart)


def _shaded(along: Along, thresholds: Sequence[DoseResponse]) -> str:
    if not thresholds or along.doses is None:
        return ""
    if along.is_several:
        return " Bars above the share that collapsed: where collapse ends, thick in the median seed, thin its interval."
    return f" Shaded: {thresholds[0].sentence()}."


def _layers(along: Along) -> list[alt.Chart]:
    layers = _Layers(along)
    if along.doses is None:
        return [*layers.behind(), *layers.runs(), *layers.means()]
    ends = layers.bars() if along.is_several else layers.ends()
    return [*layers.behind(), *ends, *layers.broken(), *layers.runs(), *layers.means()]


class _Layers:
    """The layers of every panel, by the kind of the rows that they draw."""

    def __init__(self, along: Along):
        self.at, self.along = along.channels, along
        self.colour = along.look.coloured()
        self.value, self.first = self._across("value:Q"), self._across("first:Q")

    def _across(self, field: str) -> dict[str, Any]:
        """The channel that crosses the setting's."""
        name, channel = ("y", alt.Y) if self.along.doses else ("x", alt.X)
        axis = alt.Axis(minExtent=EXTENT) if self.along.doses else alt.Axis(tickCount=5)
        return {
            name: channel(field, title=None, scale=alt.Scale(zero=False, nice=False), axis=axis)
        }

    def behind(self) -> list[alt.Chart]:
        """What a panel reaches over, and reference lines."""
        rule = _of("rule").mark_rule(strokeDash=[3, 3], color=style.MUTED)
        return [
            _of("frame").mark_point(opacity=0).encode(**self.value),
            rule.encode(**self.value, tooltip=["words:N", "value:Q"]),
        ]

    def ends(self) -> list[alt.Chart]:
        """Along doses: where collapse ends, with words."""
        over = {"x2": "to:Q", **self.at}
        words = _of("median").mark_text(baseline="top", color=style.INK)
        return [
            _of("interval").mark_rect(color=AMBER, opacity=0.13).encode(**over),
            _of("median").mark_rect(color=AMBER, opacity=0.13).encode(**over),
            words.encode(x=alt.X("middle:Q"), y=alt.value(2), text="words:N"),
        ]

    def broken(self) -> list[alt.Chart]:
        """Two strokes where the axis of doses is broken."""
        strokes = _of("break").mark_text(
            text="//", fontSize=14, fontWeight="bold", color=style.MUTED
        )
        return [strokes.encode(**self.at, y=alt.value("height"))]

    def bars(self) -> list[alt.Chart]:
        """The same for each combination of the other settings."""
        bar = {"x2": "to:Q", **self.at, **self.value, "color": self.colour}
        return [
            _of("interval bar").mark_rule(strokeWidth=2).encode(**bar),
            _of("median bar").mark_rule(strokeWidth=6).encode(**bar),
        ]

    def runs(self) -> list[alt.Chart]:
        """Every run by itself."""
        seen = {"opacity": series.of_single_runs(), "tooltip": ["run:N", "value:Q"]}
        pixels = BESIDE / 2 if self.along.is_several else BESIDE
        right, down = (pixels, 0) if self.along.doses else (0, pixels)
        points = _of("run").mark_point(filled=True, size=16, xOffset=right, yOffset=down)
        return [points.encode(**self.at, **self.value, color=self.colour, **seen)]

    def means(self) -> list[alt.Chart]:
        """Means with intervals, joined by a line along doses, and a ring around the baseline's."""
        look, means = self.along.look, _of("mean")
        here = {**self.at, **self.value}
        faded = {"color": self.colour, "opacity": series.of_arms()}
        dash = {"strokeDash": look.dashed().legend(None), "detail": "side:N"}
        ends = {**self.at, **self.first, **{f"{name}2": "last:Q" for name in self.first}}
        baseline = alt.FieldEqualPredicate(field="point", equal=self.along.arms.baseline)
        line = means.mark_line(strokeWidth=1.5).encode(**here, **faded, **dash)
        return [
            *([line] if self.along.doses else []),
            means.transform_filter("isValid(datum.first)")
            .mark_rule(strokeWidth=1.5)
            .encode(**ends, **faded),
            means.mark_point(filled=True, size=56).encode(
                **here, **faded, shape=look.shaped(), tooltip=_told()
            ),
            means.transform_filter(baseline)
            .mark_point(size=RING, color=style.INK, strokeWidth=1)
            .encode(**here),
        ]


def _of(kind: str) -> alt.Chart:
    return alt.Chart().transform_filter(f"datum.kind === '{kind}'")


def _told() -> list[alt.Tooltip]:
    interval = {"value:Q": "mean", "low:Q": "from", "high:Q": "to"}
    shown = {"point:N": "arm", **interval, "n:Q": "seeds"}
    return [alt.Tooltip(field, title=title) for field, title in shown.items()]
