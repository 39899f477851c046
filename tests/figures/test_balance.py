from math import nan
from pathlib import Path

import pytest
from conftest import rows

from moe_lab.figures.balance import balance
from moe_lab.figures.base import Absent, Figure
from moe_lab.figures.subject import Subject

from .seen import data, figure, said, subject, visible


def titles(drawn: Figure) -> list[str]:
    """Of the vertical axes, panel by panel."""
    found = []
    for panel in drawn.spec()["concat"]:
        encodings = (layer["encoding"].get("y", {}) for layer in panel["layer"])
        found += list(dict.fromkeys(y["title"] for y in encodings if "title" in y))
    return found


@pytest.mark.parametrize("name", ["n_eff", "dead_experts", "dropped"])
def test_every_step_of_a_short_run_is_drawn(drawn_run: Path, drawn_subject: Subject, name: str):
    shown = [row for row in data(balance(drawn_subject), name, "layer") if row["split"] == "train"]
    wanted = list(rows(drawn_run, "cv", split="train"))
    assert [(row["step"], row["layer"]) for row in shown] == [
        (int(row["step"]), int(row["layer"])) for row in wanted
    ]
    for row, other in zip(shown, wanted, strict=True):
        assert row[name] == (pytest.approx(float(other[name]), rel=1e-5) if other[name] else None)


def test_axes_are_titled_with_columns_and_units(drawn_subject: Subject):
    wanted = ["n_eff (experts)", "dead_experts (share)", "dropped (share)"]
    assert titles(figure(balance(drawn_subject))) == wanted


def test_n_eff_stands_between_k_and_the_number_of_experts(drawn_subject: Subject):
    assert said(balance(drawn_subject)) == ["E = 4", "k = 2"]


def test_dead_experts_begin_when_their_window_is_long_enough(drawn_run: Path):
    table = subject(drawn_run).frames.cv
    early = table["step"] < 7
    drawn = balance(
        subject(drawn_run, cv=table.assign(dead_experts=table["dead_experts"].mask(early)))
    )
    shown = [row for row in data(drawn, "dead_experts") if row["split"] == "train"]
    assert {row["step"] for row in shown if row["dead_experts"] is None} == set(range(1, 7))


def test_measurements_without_a_value_have_no_panel(drawn_run: Path):
    table = subject(drawn_run).frames.cv.assign(dead_experts=nan, dropped=0.0)
    config = {"moe": {"n_experts": 4, "top_k": 2}}  # as of another's loop
    drawn = figure(balance(subject(drawn_run, cv=table, config=config)))
    assert titles(drawn) == ["n_eff (experts)"]
    assert "dead_experts is blank" in drawn.reading


def test_dropped_is_drawn_at_a_capacity_though_nothing_was_dropped(drawn_run: Path):
    table = subject(drawn_run).frames.cv.assign(dropped=0.0)
    assert "dropped (share)" in titles(figure(balance(subject(drawn_run, cv=table))))


def test_evaluations_that_drop_nothing_are_no_points(drawn_run: Path, drawn_subject: Subject):
    assert {row["split"] for row in data(balance(drawn_subject), "dropped")} == {"train"}
    table = subject(drawn_run).frames.cv.assign(dropped=0.1)
    shown = data(balance(subject(drawn_run, cv=table)), "dropped")
    assert {row["split"] for row in shown} == {"train", "eval"}


def test_vega_draws_a_line_per_layer_and_a_point_per_evaluation(drawn_subject: Subject):
    drawn = balance(drawn_subject)
    evaluations = 2 * 2 * 4  # measurements with points, layers, steps 0, 10, 20 and 30
    assert len(visible(drawn, "symbol")) == evaluations
    assert len({mark["strokeDash"] != [1, 0] for mark in visible(drawn, "line")}) == 2


def test_without_a_step_there_is_no_picture(drawn_run: Path):
    empty = subject(drawn_run).frames.cv.iloc[:0]
    assert isinstance(balance(subject(drawn_run, cv=empty)), Absent)
