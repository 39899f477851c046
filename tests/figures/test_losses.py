from collections import defaultdict
from math import nan
from pathlib import Path

import pytest
from conftest import rows

from moe_lab.figures.base import Absent
from moe_lab.figures.losses import losses
from moe_lab.figures.subject import Subject

from .seen import data, figure, subject, visible


def mean_over_layers(run: Path, column: str) -> dict[int, float]:
    by_step = defaultdict(list)
    for row in rows(run, "aux_loss", split="train"):
        by_step[int(row["step"])].append(float(row[column]))
    return {step: sum(values) / len(values) for step, values in by_step.items()}


def test_training_and_held_out_losses_are_those_of_the_tables(
    drawn_run: Path, drawn_subject: Subject
):
    shown = data(losses(drawn_subject), "lm_loss")
    for kind, table in (("training", "steps"), ("evaluation", "eval")):
        assert [(row["step"], row["lm_loss"]) for row in shown if row["kind"] == kind] == [
            (int(row["step"]), pytest.approx(float(row["lm_loss"]), rel=1e-5))
            for row in rows(drawn_run, table)
        ]


def test_a_balance_loss_is_the_mean_over_layers_as_it_is_optimised(
    drawn_run: Path, drawn_subject: Subject
):
    shown = data(losses(drawn_subject), "balance")
    assert {row["source"] for row in shown} == {"switch_weighted"}  # the others weigh nothing
    wanted = mean_over_layers(drawn_run, "switch_weighted")
    assert {row["step"]: row["balance"] for row in shown} == pytest.approx(wanted, rel=1e-5)


def test_where_none_is_optimised_the_raw_ones_are_drawn_and_said_to_be(drawn_run: Path):
    table = subject(drawn_run).frames.aux_loss
    idle = table.assign(**{name: 0.0 for name in table if name.endswith("_weighted")})
    drawn = figure(losses(subject(drawn_run, aux_loss=idle)))
    sources = {row["source"] for row in data(drawn, "balance")}
    assert sources == {"switch_raw", "importance_raw", "router_z_raw"}
    assert "No balance loss is optimised" in drawn.reading


def test_task_and_balance_are_never_on_one_axis(drawn_subject: Subject):
    task, balance = figure(losses(drawn_subject)).spec()["concat"]
    assert "balance" not in str(task)
    assert "lm_loss" not in str(balance)


def test_what_another_loop_does_not_know_is_left_out(drawn_run: Path):
    frames = subject(drawn_run).frames
    unknown = {name: getattr(frames, name).assign(lm_loss=nan) for name in ("steps", "eval")}
    assert len(figure(losses(subject(drawn_run, **unknown))).spec()["concat"]) == 1
    drawn = losses(subject(drawn_run, **unknown, aux_loss=frames.aux_loss.iloc[:0]))
    assert isinstance(drawn, Absent)


def test_vega_draws_both_panels(drawn_subject: Subject):
    drawn = losses(drawn_subject)
    assert len(visible(drawn, "symbol")) == 4  # evaluations
    assert len({mark["stroke"] for mark in visible(drawn, "line")}) == 1
    assert len(visible(drawn, "line")) == 2 * 30
