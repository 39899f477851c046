import json
from math import inf, nan
from pathlib import Path

import pytest
from conftest import rows

from moe_lab.figures.base import Absent
from moe_lab.figures.gap import gap
from moe_lab.figures.subject import Subject

from .seen import data, figure, said, subject, visible


def test_every_evaluation_is_drawn(drawn_run: Path, drawn_subject: Subject):
    shown = data(gap(drawn_subject), "step", "gap")
    assert [(row["step"], row["gap"]) for row in shown] == [
        (int(row["step"]), pytest.approx(float(row["gap"]), rel=1e-5))
        for row in rows(drawn_run, "eval")
    ]


def test_a_rung_is_as_far_from_bayes_as_its_loss(drawn_run: Path):
    ladder = [
        {"rung": "uniform", "loss": 4.0, "error": 0.0},
        {"rung": "bayes", "loss": 3.0, "error": 0.02},
        {"rung": "oracle", "loss": 2.9, "error": 0.0},
    ]
    record = subject(drawn_run).frames.record
    drawn = figure(gap(subject(drawn_run, record={**record, "data": {"ladder": ladder}})))
    assert said(drawn) == ["oracle −0.10", "bayes 0.00", "uniform 1.00"]
    assert [row["gap"] for row in data(drawn, "words")] == pytest.approx([-0.1, 0, 1])
    assert "±0.02" in drawn.reading
    assert "told the domain" in drawn.reading


def test_the_ladder_of_the_data_is_whole(drawn_run: Path, drawn_subject: Subject):
    ladder = json.loads((drawn_run / "run.json").read_text())["data"]["ladder"]
    assert {words.split()[0] for words in said(gap(drawn_subject))} == {r["rung"] for r in ladder}


def test_where_no_gap_is_known_the_loss_stands_beside_the_losses_of_the_ladder(drawn_run: Path):
    frames = subject(drawn_run).frames
    record = {"data": {"ladder": [{"rung": "uniform", "loss": 5.5, "error": 0.0}]}}
    unknown = frames.eval.assign(gap=nan)
    drawn = figure(gap(subject(drawn_run, eval=unknown, record=record)))
    assert drawn.title == "Held-out loss"
    assert said(drawn) == ["uniform 5.50"]
    shown = [row["lm_loss"] for row in data(drawn, "step")]
    assert shown == pytest.approx(frames.eval["lm_loss"].tolist(), rel=1e-5)


def test_another_loop_has_no_ladder(drawn_run: Path):
    drawn = gap(subject(drawn_run, record={"data": {"ladder": []}}))
    assert said(drawn) == []
    assert len(visible(drawn, "symbol")) == 4


def test_one_evaluation_is_a_point_and_none_is_no_picture(drawn_run: Path):
    table = subject(drawn_run).frames.eval
    assert len(visible(gap(subject(drawn_run, eval=table.iloc[:1])), "symbol")) == 1
    infinite = table.assign(gap=nan, lm_loss=inf)
    for empty in (table.iloc[:0], infinite):
        assert isinstance(gap(subject(drawn_run, eval=empty)), Absent)
