from math import nan
from pathlib import Path

import numpy as np

from moe_lab.figures.base import Absent, Figure
from moe_lab.figures.load_area import load_area
from moe_lab.figures.subject import Subject

from .by_hand import marks, subject_of, tables
from .seen import figure

SKEWED = [0.1, 0.6, 0.3]


def drawn(subject: Subject) -> Figure:
    return figure(load_area(subject))


def test_shares_are_stacked_by_the_load_at_the_end_and_reach_the_edges(drawn_run: Path):
    (table,) = tables(drawn(subject_of(drawn_run, {0: [[0.5, 0.25, 0.25], SKEWED]})))
    assert table[0]["label"] == ["1", "2", "0"]
    assert [row["share"] for row in table] == [
        *[[0.25, 0.25, 0.5]] * 2,
        *[[0.6, 0.3, 0.1]] * 2,
    ]
    assert [(row["first"], row["last"]) for row in table] == [(1, 1), (1, 2), (2, 3), (3, 3)]


def test_bins_are_means_that_sum_to_one(drawn_run: Path):
    loads = np.random.default_rng(0).dirichlet(np.ones(5), size=250)
    (table,) = tables(drawn(subject_of(drawn_run, {0: loads.tolist()})))
    assert len(table) == 100 + 2
    for row in table[1:-1]:
        mean = loads[row["first"] - 1 : row["last"] - 1].mean(axis=0)
        expected = [mean[int(label)] for label in row["label"]]
        np.testing.assert_allclose(row["share"], expected, rtol=1e-3)
        assert abs(sum(row["share"]) - 1) < 1e-3


def test_of_many_experts_eight_are_apart(drawn_run: Path):
    load = [*[0.11] * 8, *[0.01] * 12]
    (table,) = tables(drawn(subject_of(drawn_run, {0: [load]})))
    assert table[0]["label"] == [*map(str, range(8)), "others"]
    assert table[0]["share"] == [*[0.11] * 8, 0.12]


def test_vega_draws_an_area_per_expert_and_a_cell_for_every_tooltip(drawn_run: Path):
    found = marks(drawn(subject_of(drawn_run, {0: [SKEWED, SKEWED], 1: [[0.96, 0.04, 0]] * 2})))
    assert found["area"] == 2 * 3 * (2 + 2)  # points of all, with both edges
    assert found["rect"] == 2 * 2 * 3
    assert found["text"] == 3 + 1  # the names of what is large enough


def test_a_row_of_blanks_is_a_gap(drawn_run: Path):
    (table,) = tables(drawn(subject_of(drawn_run, {0: [SKEWED, [nan] * 3, SKEWED]})))
    assert table[2]["share"] == [None] * 3


def test_one_step_fills_the_panel(drawn_run: Path):
    assert marks(drawn(subject_of(drawn_run, {0: [SKEWED]})))["rect"] == 3


def test_without_a_step_it_says_so(drawn_run: Path):
    assert isinstance(load_area(subject_of(drawn_run, {})), Absent)
