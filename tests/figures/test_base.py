import json
from math import inf, nan

import altair as alt
import pandas as pd

from moe_lab.figures import style
from moe_lab.figures.base import Figure


def figure(rows: dict[str, list[object]]) -> Figure:
    chart = alt.Chart(pd.DataFrame(rows)).mark_point().encode(x="x:Q", y="y:Q")
    return Figure("name", "Title", "What is drawn.", chart)


def data(drawn: Figure) -> list[dict[str, object]]:
    (rows,) = drawn.spec()["datasets"].values()
    return rows


def test_numbers_are_as_short_as_a_picture_needs_them():
    assert data(figure({"x": [1.0, 2.5], "y": [0.123456789, 1e-9 / 3]})) == [
        {"x": 1, "y": 0.123457},
        {"x": 2.5, "y": 3.33333e-10},
    ]


def test_steps_are_never_rounded():
    steps = [12_345_678, 98_765_432]
    assert [row["x"] for row in data(figure({"x": steps, "y": [nan, 0.0]}))] == steps
    floats = [float(step) for step in steps]  # as a table with blanks has them
    assert [row["x"] for row in data(figure({"x": floats, "y": [0.0, 0.0]}))] == steps


def test_a_figure_of_more_rows_than_altair_likes_is_drawn():
    assert len(data(figure({"x": [*range(5001)], "y": [0.0] * 5001}))) == 5001


def test_what_is_not_finite_is_null_in_strict_json():
    spec = figure({"x": [1, 2, 3], "y": [nan, inf, -inf]}).spec()
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert [row["y"] for row in data(figure({"x": [1, 2, 3], "y": [nan, inf, -inf]}))] == [None] * 3


def test_a_definition_describes_itself_and_can_be_told_what_is_chosen():
    spec = figure({"x": [1], "y": [1]}).spec()
    assert spec["description"] == "Title. What is drawn."
    assert spec["config"] == style.CONFIG
    assert spec["params"] == [{"name": name, "value": None} for name in style.CHOSEN]
