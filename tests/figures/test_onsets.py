"""When runs collapsed, drawn."""

from pathlib import Path

import pytest

from moe_lab.figures.base import Absent, Figure
from moe_lab.figures.onsets import NEVER, onsets
from moe_lab.frames import RunFrames, load_run

from .arms_by_hand import by_hand, drawn, found, rows


@pytest.fixture
def frames(drawn_run: Path) -> RunFrames:
    """Of 30 steps."""
    return load_run(drawn_run)


def test_every_run_stands_at_its_onset_or_beyond_the_last_step(frames: RunFrames):
    since = [found(verdict="collapsed", collapsed_since=step) for step in (1, 12)]
    figure = onsets(by_hand(frames, [({"moe.alpha": 0.0}, since), ({"moe.alpha": 1.0}, [found()])]))
    marks = {row["run"]: row for row in rows(figure) if "run" in row}
    assert {run: row["at"] for run, row in marks.items()} == {"p0-s0": 1, "p0-s1": 12, "p1-s0": 34}
    assert marks["p1-s0"]["ended"] == NEVER  # 34: 30 steps and 14 % of them
    assert marks["p0-s1"]["point"] == "p0"


def test_vega_draws_a_mark_per_run_and_says_which_did_not_collapse(frames: RunFrames):
    collapsed = found(verdict="collapsed", collapsed_since=5)
    points = [({"moe.alpha": a}, [collapsed, found()]) for a in (0.0, 1.0)]
    picture = drawn(onsets(by_hand(frames, points)))
    assert picture.count('aria-roledescription="point"') == 4
    assert NEVER in picture


def test_no_collapse_is_good_news(frames: RunFrames):
    absent = onsets(by_hand(frames, [({"moe.alpha": 0.0}, [found(), found(verdict="skewed")])]))
    assert isinstance(absent, Absent)
    assert absent.why == "good news: none of the 2 runs is collapsed at its end"


def test_a_run_without_a_verdict_is_no_news(frames: RunFrames):
    absent = onsets(by_hand(frames, [({"moe.alpha": 0.0}, [found(verdict=None)])]))
    assert isinstance(absent, Absent)
    assert "verdict" in absent.why


def test_ticks_are_round_steps_and_the_word(frames: RunFrames):
    collapsed = found(verdict="collapsed", collapsed_since=5)
    figure = onsets(by_hand(frames, [({"moe.alpha": 0.0}, [collapsed])]))
    assert isinstance(figure, Figure)
    axis = figure.chart.to_dict()["layer"][0]["encoding"]["x"]["axis"]
    assert axis["values"] == [0, 5, 10, 15, 20, 25, 30, 34]
