from dataclasses import replace
from math import nan
from pathlib import Path

import pandas as pd
import pytest
from conftest import rows

from moe_lab.figures.base import Absent
from moe_lab.figures.cv import _corners, cv
from moe_lab.figures.subject import Subject

from .seen import data, figure, said, subject, visible


def numbers(run: Path, split: str, column: str) -> list[tuple[int, float]]:
    found = rows(run, "cv", split=split)
    found.sort(key=lambda row: (row["layer"], int(row["step"])))
    return [(int(row["step"]), pytest.approx(float(row[column]), rel=1e-5)) for row in found]


@pytest.mark.parametrize(("kind", "split"), [("training", "train"), ("evaluation", "eval")])
def test_every_step_of_a_short_run_is_drawn(
    drawn_run: Path, drawn_subject: Subject, kind: str, split: str
):
    shown = [row for row in data(cv(drawn_subject), "cv") if row["kind"] == kind]
    assert [(row["step"], row["cv"]) for row in shown] == numbers(drawn_run, split, "cv")


def test_a_floor_that_never_changes_is_its_two_ends(drawn_run: Path, drawn_subject: Subject):
    shown = [row for row in data(cv(drawn_subject), "cv") if row["kind"] == "cv_floor"]
    assert [row["step"] for row in shown] == [1, 30] * 2
    first = numbers(drawn_run, "train", "cv_floor")[0][1]
    assert all(row["cv"] == first for row in shown)


def test_a_line_of_constant_pieces_is_kept_where_it_turns():
    # 1 1 1 2 2 3: its ends, and both sides of each jump
    assert _corners(pd.Series([1.0, 1, 1, 2, 2, 3])).tolist() == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]


def test_onsets_stand_in_words_in_the_panel_of_their_layer(drawn_run: Path):
    courses = [replace(course, onsets=(7,)) for course in subject(drawn_run).courses.values()]
    one = cv(subject(drawn_run, courses=[courses[0], replace(courses[1], onsets=())]))
    assert said(one) == ["collapse at 7"]
    assert said(cv(subject(drawn_run, courses=courses))) == ["collapse at 7"] * 2


def test_a_single_step_is_seen_as_dots(drawn_run: Path):
    table = subject(drawn_run).frames.cv
    drawn = cv(subject(drawn_run, cv=table[(table["step"] == 1) & (table["layer"] == 0)]))
    assert len(visible(drawn, "symbol")) == 2  # cv and its floor


def test_without_a_measured_step_there_is_no_picture(drawn_run: Path):
    table = subject(drawn_run).frames.cv
    for empty in (table.iloc[:0], table.assign(cv=nan)):
        assert isinstance(cv(subject(drawn_run, cv=empty)), Absent)


def test_all_panels_have_one_scale(drawn_subject: Subject):
    spec = figure(cv(drawn_subject)).spec()
    domains = {
        str(layer["encoding"]["y"]["scale"]["domain"])
        for panel in spec["concat"]
        for layer in panel["layer"]
        if "scale" in layer["encoding"].get("y", {})
    }
    assert len(spec["concat"]) == 2
    assert len(domains) == 1
