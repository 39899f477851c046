import json
from math import nan
from pathlib import Path

import numpy as np
import pytest

from moe_lab.figures.base import Absent, Figure
from moe_lab.figures.load_heatmap import load_heatmap
from moe_lab.figures.subject import Subject

from .by_hand import marks, subject_of, tables, titles
from .seen import figure

EVEN, ONE = [0.25] * 4, [1.0, 0.0, 0.0, 0.0]


def drawn(subject: Subject) -> Figure:
    return figure(load_heatmap(subject))


def colour(made: Figure) -> dict:
    found: dict = made.spec()["concat"][0]["layer"][0]["encoding"]["color"]
    return found


def test_every_cell_is_the_load_times_the_number_of_experts(drawn_subject: Subject):
    made = drawn(drawn_subject)
    for table, layer in zip(tables(made), (0, 1), strict=True):
        steps, loads = drawn_subject.loads(layer)
        assert [row["first"] for row in table] == steps.tolist()
        np.testing.assert_allclose([row["relative"] for row in table], 4 * loads, rtol=1e-3)
        assert all(row["label"] == ["0", "1", "2", "3"] for row in table)


def test_a_bin_keeps_what_is_furthest_from_fair(drawn_run: Path):
    # 250 steps in 100 bins of two or three: one step of collapse is still seen
    loads = [EVEN] * 124 + [ONE] + [EVEN] * 125
    (table,) = tables(drawn(subject_of(drawn_run, {0: loads})))
    assert len(table) == 100
    (odd,) = [row for row in table if row["relative"] != [1, 1, 1, 1]]
    assert odd["relative"] == [4, 0, 0, 0]
    assert odd["first"] <= 125 < odd["last"]


def test_vega_draws_every_cell_and_a_line_through_those_of_no_token(drawn_run: Path):
    found = marks(drawn(subject_of(drawn_run, {0: [EVEN, ONE, EVEN], 1: [ONE, EVEN, EVEN]})))
    assert found["rect"] == 2 * 3 * 4
    assert found["rule"] == 2 * 3


def test_an_onset_of_collapse_is_a_rule(drawn_run: Path):
    run = subject_of(drawn_run, {0: [EVEN] * 30 + [[0.97, 0.01, 0.01, 0.01]] * 120})
    assert marks(drawn(run))["rule"] == 2  # white with black dashes
    (onset,) = run.onsets
    assert titles(drawn(run))[0][1].startswith(f"collapsed since step {onset['step']}, n_eff ")


@pytest.mark.parametrize(
    ("n_experts", "top_k", "reach", "words"),
    [
        (2, 1, 2, ["≤ 1/2", "fair", "2×"]),
        (16, 2, 8, ["≤ 1/8", "1/4", "1/2", "fair", "2×", "4×", "8×"]),
        (128, 4, 8, ["≤ 1/8", "1/4", "1/2", "fair", "2×", "4×", "≥ 8×"]),
        (6, 2, 3, ["≤ 1/3", "1/2", "fair", "2×", "3×"]),
        (4, 4, 2, ["≤ 1/2", "fair", "2×"]),
    ],
)
def test_colours_reach_as_far_as_loads_can(
    drawn_run: Path, n_experts: int, top_k: int, reach: float, words: list[str]
):
    made = drawn(subject_of(drawn_run, {0: [[1 / n_experts] * n_experts]}, top_k=top_k))
    encoding = colour(made)
    assert encoding["scale"]["domain"][-1] == pytest.approx(np.log2(reach))
    assert encoding["scale"]["domain"][3] == 0
    said = json.loads(encoding["legend"]["labelExpr"].removesuffix("[datum.value]"))
    assert list(said.values()) == words
    assert [float(level) for level in said] == encoding["legend"]["values"]


def test_rows_of_many_experts_are_ranked_and_the_extremes_stay_by_themselves(drawn_run: Path):
    load = np.r_[np.arange(100.0), 0] / 4950  # expert 99 is the most loaded, 100 and 0 the least
    (table,) = tables(drawn(subject_of(drawn_run, {0: [load.tolist()]})))
    labels, values = table[0]["label"], table[0]["relative"]
    assert len(labels) == 8 + 16 + 8
    assert labels[:8] == [str(rank) for rank in range(1, 9)]
    assert labels[-8:] == [str(rank) for rank in range(94, 102)]
    assert labels[8] == "9–14"  # 85 experts in 16 groups: 5 of 6, 11 of 5
    assert values[0] == pytest.approx(101 * 99 / 4950, rel=1e-3)
    assert values[8] == pytest.approx(101 * np.mean([91, 90, 89, 88, 87, 86]) / 4950, rel=1e-3)
    assert values[-2:] == [0, 0]


def test_a_definition_of_many_cells_stays_small(drawn_run: Path):
    rng = np.random.default_rng(0)
    loads = {layer: rng.dirichlet(np.ones(64), size=300).tolist() for layer in range(6)}
    made = drawn(subject_of(drawn_run, loads))
    assert len(json.dumps(made.spec())) < 250_000
    assert {len(table) for table in tables(made)} == {36}  # 14,000 cells / (6 * 64)


def test_a_row_of_blanks_is_a_gap(drawn_run: Path):
    found = marks(drawn(subject_of(drawn_run, {0: [EVEN, [nan] * 4, EVEN]})))
    assert found["rect"] == 2 * 4


def test_without_a_step_it_says_so(drawn_run: Path):
    found = load_heatmap(subject_of(drawn_run, {}))
    assert isinstance(found, Absent)
    assert found.why == "no step of a MoE layer is logged yet"
