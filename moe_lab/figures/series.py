"""How lines and points of several arms are told apart: by colour and dash or shape, in an order where there is one."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import altair as alt

from moe_lab.figures import style

# Blue to orange at nearly one lightness: at least 3:1 on white and on #15181d, and in order for all kinds of vision.
ORDERED = ("#2368c4", "#7a5fc0", "#b2579f", "#cf5f62", "#d07a1c")
LINES: dict[str, Any] = {"symbolType": "stroke", "symbolSize": 300, "symbolOpacity": 1}
FAINT = 0.4  # opacity of single runs under their mean
BAND = 0.16
CHOSEN = "chosen_run !== null && datum.run === chosen_run"
# A mark of an arm, which has a field `run` if it is a single one.
OF_ARMS = f"chosen_run !== null && datum.run ? datum.run === chosen_run : {style.OF_POINTS}"


@dataclass(frozen=True)
class Series:
    """Labels in their order, and what they are values of."""

    labels: tuple[str, ...]
    title: str = ""
    ordered: bool = False  # values of a numeric setting
    lines: bool = True  # what the legend shows, rather than points

    def coloured(self, name: str = "series") -> alt.Color:
        """Colour by a field of labels; `dashed` or `shaped` by the same field must go with it."""
        return alt.Color(f"{name}:N", scale=self._scale(self.colours), **self._shown)

    def dashed(self, name: str = "series") -> alt.StrokeDash:
        """The dash pattern that goes with `coloured`."""
        dashes = [list(style.DASHES[self._mark(place)]) for place in range(len(self.labels))]
        return alt.StrokeDash(f"{name}:N", scale=self._scale(dashes), **self._shown)

    def shaped(self, name: str = "series") -> alt.Shape:
        """The point shape that goes with `coloured`."""
        shapes = [style.SHAPES[self._mark(place)] for place in range(len(self.labels))]
        return alt.Shape(f"{name}:N", scale=self._scale(shapes), **self._shown)

    @property
    def colours(self) -> list[str]:
        """One per label; beyond eight without an order they come again, with another dash and shape."""
        if self.ordered and len(self.labels) > 1:
            return [_between(i / (len(self.labels) - 1)) for i in range(len(self.labels))]
        return [style.COLOURS[i % len(style.COLOURS)] for i in range(len(self.labels))]

    @property
    def _shown(self) -> dict[str, Any]:
        look = LINES if self.lines else {"symbolOpacity": 1, "symbolStrokeWidth": 0}
        legend = alt.Legend(**look) if len(self.labels) > 1 else None
        return {"sort": list(self.labels), "title": self.title, "legend": legend}

    def _scale(self, range_: list[Any]) -> alt.Scale:
        return alt.Scale(domain=list(self.labels), range=range_)

    def _mark(self, place: int) -> int:
        marks = len(style.DASHES)
        return (place + place // marks) % marks


def _between(share: float) -> str:
    """A colour at a share of the way along ORDERED."""
    place = share * (len(ORDERED) - 1)
    start = min(int(place), len(ORDERED) - 2)
    one, other = list(pairwise(ORDERED))[start]
    parts = (
        round(
            int(one[i : i + 2], 16) * (1 - place + start)
            + int(other[i : i + 2], 16) * (place - start)
        )
        for i in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in parts)


# Channels are built as objects: Altair takes 15 ms to make one of what `alt.condition` gives.


def of_arms(opacity: float = 1.0) -> alt.OpacityValue:
    """Opacity of a mark of an arm: full, or faint once another one, or another's run, is chosen."""
    shown = {"test": OF_ARMS, "value": opacity}
    return alt.OpacityValue(style.FAINT * opacity, condition=shown)


def of_bands(opacity: float) -> alt.FillOpacityValue:
    """The same of an area, by its fill: a PNG is made in half the time."""
    shown = {"test": OF_ARMS, "value": opacity}
    return alt.FillOpacityValue(style.FAINT * opacity, condition=shown)


def of_single_runs() -> alt.OpacityValue:
    """Opacity of a run under its mean: faint, until it is chosen."""
    chosen, shown = {"test": CHOSEN, "value": 1}, {"test": style.OF_RUNS, "value": FAINT}
    return alt.OpacityValue(FAINT * style.FAINT, condition=[chosen, shown])


def chosen_width() -> alt.StrokeWidthValue:
    """Width of a run's line: thin, until it is chosen."""
    return alt.StrokeWidthValue(0.8, condition={"test": CHOSEN, "value": 2.5})
