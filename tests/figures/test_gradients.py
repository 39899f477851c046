from math import inf, nan
from pathlib import Path

import pandas as pd
import pytest
from conftest import rows

from moe_lab.figures.base import Absent
from moe_lab.figures.gradients import gradients
from moe_lab.figures.subject import Subject
from moe_lab.figures.timeline import magnitudes

from .seen import data, figure, subject, visible


def test_both_sources_are_drawn_where_they_were_measured(drawn_run: Path, drawn_subject: Subject):
    shown = data(gradients(drawn_subject), "grad")
    for source in ("grad_task", "grad_balance"):
        wanted = [
            (row["layer"], int(row["step"]), float(row[source]))
            for row in rows(drawn_run, "aux_loss", split="train")
            if row[source]
        ]
        wanted.sort()
        found = [(row["step"], row["grad"]) for row in shown if row["source"] == source]
        assert found == [(step, pytest.approx(grad, rel=1e-5)) for _, step, grad in wanted]
    assert len(shown) == 2 * 2 * 6  # sources, layers, steps 5 … 30


def test_a_balance_gradient_has_its_cosine_with_the_task(drawn_run: Path, drawn_subject: Subject):
    first = next(row for row in rows(drawn_run, "aux_loss", layer=0) if row["grad_task"])
    task, balance = (
        next(row for row in data(gradients(drawn_subject), "grad") if row["source"] == source)
        for source in ("grad_task", "grad_balance")
    )
    assert balance["cosine"] == pytest.approx(float(first["grad_cosine"]), rel=1e-5)
    assert task["cosine"] is None


def test_each_balancer_is_drawn_only_where_there_are_several(drawn_run: Path):
    table = subject(drawn_run).frames.aux_loss
    both = table.assign(router_z_grad=table["switch_grad"], router_z_cosine=table["switch_cosine"])
    sources = {row["source"] for row in data(gradients(subject(drawn_run, aux_loss=both)), "grad")}
    assert sources == {"grad_task", "grad_balance", "switch_grad", "router_z_grad"}


def test_a_source_that_never_pulls_is_told_and_not_drawn(drawn_run: Path):
    table = subject(drawn_run).frames.aux_loss
    idle = table["grad_balance"] * 0
    drawn = figure(gradients(subject(drawn_run, aux_loss=table.assign(grad_balance=idle))))
    assert {row["source"] for row in data(drawn, "grad")} == {"grad_task"}
    assert "grad_balance is 0 throughout" in drawn.reading


def test_before_the_first_measurement_there_is_no_picture(drawn_run: Path):
    table = subject(drawn_run).frames.aux_loss.assign(grad_task=nan, grad_balance=nan)
    drawn = gradients(subject(drawn_run, aux_loss=table))
    assert isinstance(drawn, Absent)
    assert "router_grad_every" in drawn.why


def test_one_measurement_is_seen(drawn_run: Path):
    table = subject(drawn_run).frames.aux_loss
    drawn = gradients(subject(drawn_run, aux_loss=table[table["step"] <= 5]))
    assert len(visible(drawn, "symbol")) == 2 * 2


@pytest.mark.parametrize(
    ("values", "type_", "ticks"),
    [
        ([0.02, 0.3], "log", [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]),
        ([1e-5, 0.3], "log", [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1]),
        ([0.0, 0.02, 0.3], "symlog", [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]),
        ([0.02, inf, nan], "log", [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]),
    ],
)
def test_an_axis_of_magnitudes_has_room_for_zero_only_where_there_is_one(
    values: list[float], type_: str, ticks: list[float]
):
    y = magnitudes(pd.Series(values, name="grad"), "norm").to_dict()
    assert y["scale"]["type"] == type_
    assert y["axis"]["values"] == pytest.approx(ticks)
    assert (y["scale"]["domain"][0] == 0) == (type_ == "symlog")


def test_an_axis_without_magnitudes_is_plain():
    assert "scale" not in magnitudes(pd.Series([0.0, 0.0], name="grad"), "norm").to_dict()
