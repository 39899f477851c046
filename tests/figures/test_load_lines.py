from math import nan
from pathlib import Path

import numpy as np
import pytest

from moe_lab.figures.base import Absent, Figure
from moe_lab.figures.load_lines import load_lines
from moe_lab.figures.subject import Subject

from .by_hand import marks, subject_of, tables
from .seen import figure, visible

EVEN = [0.25] * 4


def drawn(subject: Subject) -> Figure:
    return figure(load_lines(subject))


def scale(made: Figure) -> dict:
    found: dict = made.spec()["concat"][0]["layer"][0]["encoding"]["y"]["scale"]
    return found


def test_every_expert_has_its_mean_and_its_extremes(drawn_run: Path):
    loads = np.random.default_rng(0).dirichlet(np.ones(4), size=250)
    (table,) = tables(drawn(subject_of(drawn_run, {0: loads.tolist()})))
    assert len(table) == 100
    for row in table:
        steps = loads[row["first"] - 1 : row["last"] - 1]
        np.testing.assert_allclose(row["mean"], steps.mean(axis=0), rtol=1e-3)
        np.testing.assert_allclose(row["low"], steps.min(axis=0), rtol=1e-3)
        np.testing.assert_allclose(row["high"], steps.max(axis=0), rtol=1e-3)


def test_of_many_experts_quantiles_of_the_relative_load_are_drawn(drawn_run: Path):
    load = np.arange(21.0) / 210  # quantiles are at 20, 18, 10, 2 and 0
    (table,) = tables(drawn(subject_of(drawn_run, {0: [load.tolist()]})))
    assert table[0]["label"] == ["most loaded", "90 %", "median", "10 %", "least loaded"]
    assert table[0]["mean"] == pytest.approx([2, 1.8, 1, 0.2, 0])


def test_axes_reach_four_fair_shares_or_more_but_no_impossible_load(drawn_run: Path):
    # 8 experts: 4 * 1/8; 4 experts, k = 2: at most 1/2; a larger load is never cut off
    for load, top_k, reach in (
        ([1 / 8] * 8, 1, 0.5),
        (EVEN, 2, 0.5),
        ([0.1, 0.9], 1, 1.0),
        (EVEN, 1, 1.0),
    ):
        made = drawn(subject_of(drawn_run, {0: [load]}, top_k=top_k))
        assert scale(made)["domain"] == [0, pytest.approx(1.03 * reach)]


def test_the_fair_share_and_onsets_of_collapse_are_rules(drawn_run: Path):
    balanced = subject_of(drawn_run, {0: [EVEN] * 30})
    assert marks(drawn(balanced))["rule"] == 1
    collapsed = subject_of(drawn_run, {0: [EVEN] * 30 + [[1.0, 0, 0, 0]] * 120})
    assert marks(drawn(collapsed))["rule"] == 1 + 2


def test_one_step_is_the_name_of_every_expert_beside_the_others(drawn_run: Path):
    found = visible(drawn(subject_of(drawn_run, {0: [EVEN]})), "text")
    assert [name["text"] for name in found] == ["0", "1", "2", "3"]
    # four places of equal width in 300 pixels
    assert [name["x"] for name in found] == pytest.approx([37.5, 112.5, 187.5, 262.5])
    assert len({name["y"] for name in found}) == 1


def test_a_row_of_blanks_is_a_gap(drawn_run: Path):
    (table,) = tables(drawn(subject_of(drawn_run, {0: [EVEN, [nan] * 4, EVEN]})))
    assert table[1]["mean"] == table[1]["low"] == [None] * 4
    many = [[1 / 20] * 20, [nan] * 20]
    assert tables(drawn(subject_of(drawn_run, {0: many})))[0][1]["mean"] == [None] * 5


def test_without_a_step_it_says_so(drawn_run: Path):
    assert isinstance(load_lines(subject_of(drawn_run, {})), Absent)
