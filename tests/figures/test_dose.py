"""Dose and response, drawn."""

from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from moe_lab.figures.arms import Arms
from moe_lab.figures.base import Absent, Figure
from moe_lab.figures.dose import dose_responses
from moe_lab.figures.outcomes import measures
from moe_lab.frames import RunFrames, load_run
from moe_lab.report.doses import DoseResponse
from moe_lab.statistics import Bracket, Threshold

from .arms_by_hand import by_hand, drawn, found, rows

T_OF_TWO = 12.706205  # 97.5 % quantile of Student's t with 1 degree of freedom
GAP, DIFFERENCE = "gap (nats/token)", "gap less the baseline's (nats/token)"
COLLAPSED = "collapsed (share of runs)"


@pytest.fixture
def frames(drawn_run: Path) -> RunFrames:
    return load_run(drawn_run)


@pytest.fixture
def alphas(frames: RunFrames) -> Arms:
    """Three doses at two seeds; the first collapses."""
    gaps = {0.0: (1.0, 2.0), 0.01: (0.5, 1.75), 0.1: (0.75, 1.0)}
    return by_hand(
        frames,
        [
            (
                {"moe.alpha": alpha},
                [found(gap, "balanced" if alpha else "collapsed") for gap in seeds],
            )
            for alpha, seeds in gaps.items()
        ],
    )


def of(figure: Any, kind: str, panel: str) -> list[dict[str, Any]]:
    return [row for row in rows(figure) if (row["kind"], row["panel"]) == (kind, panel)]


def response(collapsed: float | None, safe: float | None, **others: Any) -> DoseResponse:
    found = Bracket(collapsed, safe)
    threshold = Threshold(found, Bracket(None, None), 0.5, 2)
    return DoseResponse("moe.alpha", others, (0.0, 0.01, 0.1), 2, threshold)


def test_means_have_their_t_interval(alphas: Arms):
    mean = of(dose_responses(alphas), "mean", GAP)[0]
    # gaps 1 and 2: s = sqrt(1/2), half = t s / sqrt 2 = t / 2
    half = T_OF_TWO * sqrt(0.5) / sqrt(2)
    assert (mean["value"], mean["n"]) == (1.5, 2)
    assert [mean["low"], mean["high"]] == pytest.approx([1.5 - half, 1.5 + half], rel=1e-5)


def test_an_interval_ends_at_the_frame(alphas: Arms):
    figure = dose_responses(alphas)
    low, high = (row["value"] for row in of(figure, "frame", GAP))
    mean = of(figure, "mean", GAP)[0]
    assert (mean["first"], mean["last"]) == (low, high)
    assert low < 0.5
    assert high > 2


def test_differences_are_paired_and_the_baseline_has_none(alphas: Arms):
    figure = dose_responses(alphas)
    single = {row["run"]: row["value"] for row in of(figure, "run", DIFFERENCE)}
    # 0.5 - 1, 1.75 - 2; 0.75 - 1, 1 - 2
    assert single == {"p1-s0": -0.5, "p1-s1": -0.25, "p2-s0": -0.25, "p2-s1": -1}
    assert [row["value"] for row in of(figure, "rule", DIFFERENCE)] == [0]


def test_a_share_has_wilsons_interval(alphas: Arms):
    mean = of(dose_responses(alphas), "mean", COLLAPSED)[0]
    # 2 of 2, z = 1.96: (2 + z²/2 - z sqrt(z²/4)) / (2 + z²) = 2 / (2 + z²)
    assert mean["value"] == 1
    assert mean["low"] == pytest.approx(2 / (2 + 1.959964**2), rel=1e-5)
    assert mean["high"] == 1


def test_zero_stands_beside_a_broken_axis(alphas: Arms):
    figure = dose_responses(alphas)
    assert [row["at"] for row in of(figure, "mean", GAP)] == [-3, -2, -1]
    assert [row["side"] for row in of(figure, "mean", GAP)] == [True, False, False]
    assert [row["at"] for row in of(figure, "break", GAP)] == [-2.5]


def test_the_threshold_is_a_span_of_doses(alphas: Arms):
    figure = dose_responses(alphas, [response(0.0, 0.01)])
    median = of(figure, "median", COLLAPSED)[0]
    assert (median["at"], median["to"], median["words"]) == (-3, -2, "collapse ends")
    interval = of(figure, "interval", GAP)[0]
    # both ends off the doses: as far as the picture goes, 6 % of the axis beyond its ends
    assert (interval["at"], interval["to"]) == pytest.approx((-3.12, -0.88))
    assert isinstance(figure, Figure)
    assert "collapse ends between moe.alpha 0 and 0.01" in figure.reading


def test_a_falling_threshold_lies_between_its_doses_too(alphas: Arms):
    falling = DoseResponse(
        "moe.alpha",
        {},
        (0.1, 0.01, 0.0),
        2,
        Threshold(Bracket(0.1, 0.01), Bracket(0.1, None), 0.5, 2),
    )
    figure = dose_responses(alphas, [falling])
    assert [(row["at"], row["to"]) for row in of(figure, "median", GAP)] == [(-2, -1)]
    assert [(row["at"], row["to"]) for row in of(figure, "interval", GAP)] == [(-3.12, -1)]


def test_a_second_setting_has_colours_and_bars(frames: RunFrames):
    grid = [
        ({"moe.alpha": a, "moe.noise": n}, [found(), found()])
        for a in (0.0, 0.01, 0.1)
        for n in (0, 1)
    ]
    both = [response(0.0, 0.01, **{"moe.noise": n}) for n in (0, 1)]
    figure = dose_responses(by_hand(frames, grid), both)
    assert {row["series"] for row in of(figure, "mean", GAP)} == {"0", "1"}
    bars = of(figure, "median bar", COLLAPSED)
    assert [(row["series"], row["at"], row["to"]) for row in bars] == [("0", -3, -2), ("1", -3, -2)]
    assert not of(figure, "median bar", GAP)


def test_arms_of_one_dose_stand_beside_each_other(frames: RunFrames):
    grid = [({"moe.alpha": a, "moe.noise": n}, [found()]) for a in (1, 2) for n in (0, 1)]
    places = [row["at"] for row in of(dose_responses(by_hand(frames, grid)), "mean", GAP)]
    # the axis is 1.12 wide; neighbours are 2.5 % of it apart, around their dose
    assert places == pytest.approx([1 - 0.014, 1 + 0.014, 2 - 0.014, 2 + 0.014])


def test_categories_have_a_row_each(frames: RunFrames):
    methods = [{"name": "switch", "scope": "batch"}, {"name": "importance", "of": "probabilities"}]
    figure = dose_responses(by_hand(frames, [({"moe.balance": m}, [found()]) for m in methods]))
    assert [row["at"] for row in of(figure, "mean", GAP)] == ["switch", "importance"]
    assert "switch" in drawn(figure)


def test_only_what_was_dropped_is_drawn(frames: RunFrames, alphas: Arms):
    assert "dropped" not in [measure.name for measure in measures(alphas)]
    points = [({"moe.alpha": a}, [found(dropped=a)]) for a in (0.0, 0.5)]
    assert "dropped" in [measure.name for measure in measures(by_hand(frames, points))]


def test_a_measure_that_one_run_lacks_has_no_mean(frames: RunFrames):
    points = [({"moe.alpha": a}, [found(nmi=0.5), found(nmi=None)]) for a in (0.0, 1.0)]
    figure = dose_responses(by_hand(frames, points))
    assert len(of(figure, "run", "nmi")) == 2
    assert not of(figure, "mean", "nmi")


def test_the_floor_of_cv_is_a_line(alphas: Arms):
    assert [row["value"] for row in of(dose_responses(alphas), "rule", "cv")] == [0.03]


def test_vega_draws_every_mean_and_run_and_the_baselines_ring(alphas: Arms):
    picture = drawn(dose_responses(alphas, [response(0.0, 0.01)]))
    # Of these panels 7 have 3 means, 6 runs and a ring; that of differences has 2 means and 4 runs; and 2 unseen
    # points each hold the frame.
    panels = len(measures(alphas))
    assert panels == 7
    points = picture.count('aria-roledescription="point"')
    assert points == 6 * (3 + 6 + 1) + (2 + 4) + 2 * 7
    assert "collapse ends" in picture
    assert "//" in picture


def test_one_arm_and_no_run_have_no_response(frames: RunFrames):
    one = dose_responses(by_hand(frames, [({"moe.alpha": 0.0}, [found()])]))
    none = dose_responses(by_hand(frames, [({"moe.alpha": a}, []) for a in (0.0, 1.0)]))
    assert isinstance(one, Absent)
    assert "one arm" in one.why
    assert isinstance(none, Absent)
    assert "finished" in none.why
