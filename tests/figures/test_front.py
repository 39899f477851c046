"""Loss against cv, drawn."""

from pathlib import Path
from typing import Any

import pytest

from moe_lab.figures.arms import Arms
from moe_lab.figures.base import Absent
from moe_lab.figures.front import front
from moe_lab.figures.front import rows as points_of
from moe_lab.frames import RunFrames, load_run

from .arms_by_hand import by_hand, drawn, found, rows


@pytest.fixture
def frames(drawn_run: Path) -> RunFrames:
    return load_run(drawn_run)


@pytest.fixture
def arms(frames: RunFrames) -> Arms:
    """(cv, gap) of p0 to p3: (2, 1), (1, 2), (2, 3), (4, 1.5)."""
    places = ((2.0, 1.0), (1.0, 2.0), (2.0, 3.0), (4.0, 1.5))
    return by_hand(
        frames,
        [
            ({"moe.alpha": alpha}, [found(gap - 0.5, cv=cv), found(gap + 0.5, cv=cv)])
            for alpha, (cv, gap) in enumerate(places)
        ],
    )


def test_the_front_is_what_nothing_beats_and_the_best_has_the_lowest_loss(arms: Arms):
    found = points_of(arms).set_index("point")["is"].to_dict()
    # (2, 3) is beaten by (2, 1) and (4, 1.5) by (2, 1); (2, 1) and (1, 2) trade one for the other
    assert found == {"p0": "best", "p1": "front", "p2": "beaten", "p3": "beaten"}


def test_a_point_is_its_mean(arms: Arms):
    first = points_of(arms).iloc[0]
    assert (first["cv"], first["loss"], first["n"]) == (2, 1, 2)
    assert (first["cv_low"], first["cv_high"]) == (2, 2)


def test_intervals_are_cut_off_at_the_frame(arms: Arms):
    point = next(row for row in rows(front(arms)) if row.get("is") == "best")
    # gaps 0.5 and 1.5 with t = 12.7 reach far below 0, where no run is
    assert point["loss_low"] < -5 < 0 < point["loss_first"] < 0.5


def test_vega_draws_a_mark_per_arm_and_per_run_and_the_step_line(arms: Arms):
    picture = drawn(front(arms))
    assert picture.count('aria-roledescription="point"') == 4 + 8
    assert picture.count('aria-roledescription="line mark"') == 1
    assert all(word in picture for word in ("best", "front", "beaten", "alpha 3"))


def test_marks_can_be_highlighted(arms: Arms):
    found: list[dict[str, Any]] = rows(front(arms))
    assert {row["run"] for row in found if "run" in row} >= {"p0-s0", "p3-s1"}
    assert all("point" in row for row in found)


@pytest.mark.parametrize("gap", [0.25, None])
def test_fewer_than_two_arms_are_no_trade(frames: RunFrames, gap: float | None):
    points = [({"moe.alpha": 0.0}, [found(gap)]), ({"moe.alpha": 1.0}, [found(None)])]
    assert isinstance(front(by_hand(frames, points)), Absent)
