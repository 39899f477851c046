"""How figures look: colours told apart without colour vision, on white and on black, and words from columns."""

from functools import cache
from typing import Any

import altair as alt

from moe_lab import columns, sweep_columns

# Three neutral colours, which a page replaces by its own, in the dark for instance.
INK, MUTED, GRID = "#24292f", "#656c76", "#dde1e6"
# At least 3:1 against white and against #15181d; neighbours differ in lightness or hue for all kinds of vision.
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#8f8519", "#7a7f87", "#a066d3", "#1393a5"),
)
# Beside the colour, never colour alone.
DASHES = ([1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [1, 3], [10, 3], [3, 1, 1, 1])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke", "wedge")
# Of a load relative to the fair share: blue below, orange above, and the lighter the nearer to fair.
BELOW_TO_ABOVE = ("#08306b", "#2f79b5", "#a6cbe3", "#f5f5f2", "#fdb863", "#e08214", "#7f3b08")
VERDICTS = {"collapsed": "#d6455d", "skewed": "#b8860b", "balanced": "#1a9e6e"}

PANEL = (300, 190)  # width and height of one of several panels, pixels
WIDE = (640, 260)  # of a figure of one panel
EXPERTS = 16  # of which each is drawn by itself
FAINT = 0.12  # opacity of what is not chosen
CHOSEN = ("chosen_run", "chosen_point")  # parameters of every figure, null at first

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif"
CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        **{"labelColor": MUTED, "titleColor": INK, "gridColor": GRID, "domainColor": MUTED},
        **{"tickColor": MUTED, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500},
        **{"titlePadding": 8, "labelOverlap": "greedy", "labelSeparation": 6},
    },
    "legend": {
        **{"labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12},
        **{"titleFontWeight": 500, "orient": "top", "symbolStrokeWidth": 2, "columns": 6},
    },
    "header": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "labelFontWeight": 600},
    "title": {"color": INK, "fontSize": 13, "anchor": "start"},
    "text": {"color": INK, "font": FONT, "fontSize": 11},
    "range": {"category": list(COLOURS)},
}


@cache
def _units() -> dict[str, str]:
    tables = columns.tables(n_experts=1, balancers=(), domains=()).values()
    known = [
        column for table in (*tables, sweep_columns.OUTCOMES, columns.STABILITY) for column in table
    ]
    return {column.name: column.unit for column in known}


def titled(name: str, unit: str | None = None) -> str:
    """A column's name with its unit, as an axis is titled: `n_eff (experts)`. `unit` is for what is no column."""
    shown = _units().get(name, "") if unit is None else unit
    return f"{name} ({shown})" if shown else name


def whole_axis() -> alt.Axis:
    """The axis of steps, which are whole numbers."""
    return alt.Axis(title="step", format="d", tickMinStep=1, tickCount=8, grid=False)


def emphasis(*, of_runs: bool, opacity: float = 1.0) -> alt.OpacityValue:
    """Opacity: full, or faint once another run or point is chosen. Marks need a field `run`, or `point`, or both."""
    test = OF_RUNS if of_runs else OF_POINTS
    return alt.OpacityValue(FAINT * opacity, condition={"test": test, "value": opacity})


# A chosen run sets its point, too, if it has one.
OF_RUNS = "chosen_run !== null ? datum.run === chosen_run : chosen_point === null || datum.point === chosen_point"
OF_POINTS = "chosen_point === null || datum.point === chosen_point"
