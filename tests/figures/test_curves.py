"""Losses and balance over training, drawn."""

from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from moe_lab.figures import curves, style
from moe_lab.figures.arms import Arms
from moe_lab.figures.base import Absent, Figure
from moe_lab.frames import RunFrames, load_run

from .arms_by_hand import by_hand, drawn, found, rows

ALL = (
    curves.loss_curves,
    curves.loss_differences,
    curves.n_eff_curves,
    curves.cv_curves,
)


@pytest.fixture
def frames(drawn_run: Path) -> RunFrames:
    return load_run(drawn_run)


@pytest.fixture
def arms(frames: RunFrames) -> Arms:
    """Two arms of two seeds, which all have the tables of one run."""
    return by_hand(frames, [({"moe.alpha": a}, [found(), found()]) for a in (0.0, 0.01)])


def of_kind(figure: Any, key: str) -> list[dict[str, Any]]:
    return [row for row in rows(figure) if key in row]


def test_the_loss_is_that_of_every_evaluation(arms: Arms, frames: RunFrames):
    figure = curves.loss_curves(arms)
    means = [row for row in of_kind(figure, "n") if row["point"] == "p0"]
    expected = list(zip(frames.eval["step"], frames.eval["gap"], strict=True))
    assert [row["step"] for row in means] == [step for step, _ in expected]
    assert [row["value"] for row in means] == pytest.approx([gap for _, gap in expected], rel=1e-5)


def test_the_loss_is_lm_loss_where_a_run_knows_no_gap(frames: RunFrames):
    settings = [({"moe.alpha": a}, [found(None)]) for a in (0.0, 0.01)]
    figure = curves.loss_curves(by_hand(frames, settings, loss="lm_loss"))
    first = of_kind(figure, "n")[0]
    assert first["value"] == pytest.approx(frames.eval["lm_loss"].iloc[0], rel=1e-5)


def test_equal_arms_do_not_differ(arms: Arms):
    values = {row["value"] for row in rows(curves.loss_differences(arms)) if "step" in row}
    assert values == {0}


def test_the_floor_of_cv_is_that_of_a_batch(arms: Arms):
    rule = next(row for row in rows(curves.cv_curves(arms)) if row.get("words") == "cv_floor")
    # E = 4, k = 2, T = batch_size 4 x seq_len 16 = 64: sqrt((4 - 2) / (2 x 64))
    assert rule["value"] == pytest.approx(sqrt(2 / 128), rel=1e-5)


def test_n_eff_is_held_against_the_number_of_experts(arms: Arms):
    rule = next(row for row in rows(curves.n_eff_curves(arms)) if "words" in row)
    assert (rule["words"], rule["value"]) == ("E = 4", 4)


@pytest.mark.parametrize("draw", ALL)
def test_runs_and_points_can_be_highlighted(arms: Arms, draw: Any):
    figure = draw(arms)
    single = [row for row in rows(figure) if row.get("run")]
    assert {row["run"] for row in single} >= {"p1-s0", "p1-s1"}
    assert {row["point"] for row in of_kind(figure, "n")} <= {"p0", "p1"}
    assert all(name in str(figure.spec()) for name in style.CHOSEN)


@pytest.mark.parametrize("draw", [curves.loss_curves, curves.cv_curves])
def test_vega_draws_a_line_and_a_band_for_every_arm(arms: Arms, draw: Any):
    picture = drawn(draw(arms))
    assert picture.count('aria-roledescription="area mark"') == 2
    assert picture.count('aria-roledescription="line mark"') == 2 + 4  # means, and runs


def test_vega_draws_a_panel_per_value_of_the_second_setting(frames: RunFrames):
    grid = [({"moe.alpha": a, "moe.noise": n}, [found()]) for a in range(4) for n in (0, 1)]
    picture = drawn(curves.n_eff_curves(by_hand(frames, grid)))
    assert "noise 0" in picture
    assert "noise 1" in picture
    assert picture.count('aria-roledescription="line mark"') == 8


def test_one_seed_is_called_one_seed(frames: RunFrames):
    figure = curves.n_eff_curves(by_hand(frames, [({"moe.alpha": 0.0}, [found()])]))
    assert isinstance(figure, Figure)
    assert figure.reading.endswith("A line per run. One seed per arm.")


@pytest.mark.parametrize("draw", ALL)
def test_without_a_run_there_is_nothing_to_draw(frames: RunFrames, draw: Any):
    empty = draw(by_hand(frames, [({"moe.alpha": 0.0}, []), ({"moe.alpha": 1.0}, [])]))
    assert isinstance(empty, Absent)


def test_a_single_arm_differs_from_nothing(frames: RunFrames):
    absent = curves.loss_differences(by_hand(frames, [({"moe.alpha": 0.0}, [found()])]))
    assert isinstance(absent, Absent)
    assert "baseline" in absent.why
