"""What a figure is, wherever it is shown."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import altair as alt

from moe_lab.figures import style

Chart = (
    alt.Chart
    | alt.LayerChart
    | alt.FacetChart
    | alt.ConcatChart
    | alt.HConcatChart
    | alt.VConcatChart
)
DIGITS = 6  # of a number in a definition: more than a pixel shows


@dataclass(frozen=True)
class Figure:
    """One picture, its definition holding its data."""

    name: str  # unique in a gallery: file name and anchor, [a-z0-9-]
    title: str
    reading: str  # what is drawn, of which data, how uncertain: the caption
    chart: Chart

    def spec(self) -> dict[str, Any]:
        """The whole Vega-Lite definition, as JSON has it."""
        with alt.data_transformers.disable_max_rows():  # 5,000, which a sweep of 500 runs has
            spec: dict[str, Any] = self.chart.to_dict(validate=False)
        return spec | {
            "config": style.CONFIG,
            "description": f"{self.title}. {self.reading}",
            "params": [
                *spec.get("params", ()),
                *({"name": n, "value": None} for n in style.CHOSEN),
            ],
            "datasets": {name: _plain(rows) for name, rows in spec.get("datasets", {}).items()},
        }


@dataclass(frozen=True)
class Absent:
    """A picture that there is nothing for, and why."""

    name: str
    title: str
    why: str


Drawn = Figure | Absent


def _plain(value: Any) -> Any:
    """Numbers as short as a picture needs them; what is not finite is null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return _short(value) if isfinite(value) else None
    return value


def _short(value: float) -> float | int:
    return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.{DIGITS}g}")
