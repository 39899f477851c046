"""The share that collapsed by two settings, drawn."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from moe_lab.figures.arms import Arms
from moe_lab.figures.base import Absent, Figure
from moe_lab.figures.phase import PANELS, phase
from moe_lab.frames import RunFrames, load_run

from .arms_by_hand import by_hand, drawn, found, rows


@pytest.fixture
def frames(drawn_run: Path) -> RunFrames:
    return load_run(drawn_run)


def grid(frames: RunFrames, collapses: dict[tuple[float, ...], Sequence[bool]]) -> Arms:
    """By alpha, noise and perhaps top_k, which seeds collapsed."""
    names = ("moe.alpha", "moe.noise", "moe.top_k")
    return by_hand(
        frames,
        [
            (
                dict(zip(names, place, strict=False)),
                [found(verdict="collapsed" if yes else "skewed") for yes in seeds],
            )
            for place, seeds in collapses.items()
        ],
    )


def test_a_cell_counts_its_collapses(frames: RunFrames):
    cells = {(0.0, 0.0): (True, True, False), (0.0, 1.0): (), (0.1, 0.0): (False,)}
    found = {(row["x"], row["y"]): row for row in rows(phase(grid(frames, cells)))}
    assert found["0", "0"]["words"] == "2/3"
    assert found["0", "0"]["share"] == pytest.approx(2 / 3, rel=1e-5)
    assert found["0", "1"]["words"] == "-"
    assert found["0.1", "0"]["share"] == 0
    # 0 of 1, z = 1.96: the interval ends at z² / (1 + z²)
    assert found["0.1", "0"]["high"] == pytest.approx(1.959964**2 / (1 + 1.959964**2), rel=1e-5)


def test_numbers_ascend_on_both_axes(frames: RunFrames):
    cells = {(a, n): (True,) for a in (1.0, 0.1, 10.0) for n in (2.0, 0.5)}
    figure = phase(grid(frames, cells))
    assert isinstance(figure, Figure)
    encoding = figure.chart.to_dict()["layer"][0]["encoding"]
    assert encoding["x"]["sort"] == ["0.1", "1", "10"]
    assert encoding["y"]["sort"] == ["2", "0.5"]  # from the top


def test_vega_draws_every_cell_with_its_words(frames: RunFrames):
    cells = {(a, n): (a < 1, True) for a in (0.0, 1.0) for n in (0.0, 1.0)}
    picture = drawn(phase(grid(frames, cells)))
    assert picture.count('aria-roledescription="rect mark"') == 4
    assert picture.count(">2/2<") == 2
    assert picture.count(">1/2<") == 2


def test_a_third_setting_has_panels_and_many_are_cut(frames: RunFrames):
    cells = {(a, n, k): (True,) for a in (0, 1) for n in (0, 1) for k in range(1, PANELS + 2)}
    figure = phase(grid(frames, cells))
    assert isinstance(figure, Figure)
    assert len({row["panel"] for row in rows(figure)}) == PANELS
    assert f"{PANELS} of {PANELS + 1} combinations" in figure.reading


def test_one_setting_is_no_plane_and_a_second_is_asked_for(frames: RunFrames):
    absent = phase(grid(frames, {(0.0, 1.0): (True,), (1.0, 1.0): (False,)}))
    assert isinstance(absent, Absent)
    assert absent.why == "only alpha varies: sweep two, such as `moe-lab sweep alpha noise`"


def test_without_a_verdict_there_is_no_share(frames: RunFrames):
    absent = phase(grid(frames, {(a, n): () for a in (0.0, 1.0) for n in (0.0, 1.0)}))
    assert isinstance(absent, Absent)
