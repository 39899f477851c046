"""What is compared: arms, their labels, and what is left out."""

import shutil
from pathlib import Path

import pytest
from conftest import Cli, small

from moe_lab.config import load
from moe_lab.figures import arms, gallery
from moe_lab.figures.base import Absent, Figure
from moe_lab.figures.subject import Subject
from moe_lab.frames import RunFrames, load_run
from moe_lab.plan import Plan, Point
from moe_lab.store.sweep import create_sweep
from moe_lab.sweep_frames import load_sweep

from .arms_by_hand import by_hand, found, rows

SHORT = ("steps=4", "eval.every=2", "checkpoint.every=4")


@pytest.fixture(scope="module")
def swept(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two alphas at two seeds, of which the last run has not begun."""
    points = (Point("high", {"moe.alpha": 0.5}), Point("low", {"moe.alpha": 0.0}))
    plan = Plan(("moe.alpha",), points, (3, 4), "low")
    folder = tmp_path_factory.mktemp("arms")
    sweep = create_sweep(folder, "sweep", plan, base=load(None, small(*SHORT)).dump(), config=b"")
    for run in plan.runs[:3]:
        asked = (f"{key}={value}" for key, value in run.settings.items())
        done = cli("train", *small(*SHORT), *asked, "--runs-dir", sweep.directory)
        assert done.exit_code == 0, done.stderr
    return sweep.directory


@pytest.fixture
def frames(swept: Path) -> RunFrames:
    return load_run(swept / "low-s3")


def test_points_of_a_sweep_are_arms_in_the_order_of_their_setting(swept: Path):
    compared = arms.of_sweep(load_sweep(swept))
    assert [(arm.point, arm.label) for arm in compared.arms] == [("low", "0"), ("high", "0.5")]
    assert [run.name for _, run in compared.runs] == ["low-s3", "high-s3", "high-s4"]
    assert (compared.title, compared.baseline, compared.loss) == ("alpha", "low", "gap")


def test_an_unfinished_run_of_a_sweep_is_left_out_and_named(swept: Path):
    compared = arms.of_sweep(load_sweep(swept))
    assert compared.left_out == ("low-s4",)
    assert compared.reading == (
        "1 to 2 seeds per arm. Left out, as they have not finished or cannot be read: low-s4."
    )


def test_a_damaged_run_of_a_sweep_is_left_out(swept: Path, tmp_path: Path):
    copy = tmp_path / "sweep"
    shutil.copytree(swept, copy)
    (copy / "high-s3" / "eval.csv").write_text("no table\n1,2,3\n")
    compared = arms.of_sweep(load_sweep(copy))
    assert compared.left_out == ("high-s3", "low-s4")
    assert [run.name for _, run in compared.runs] == ["low-s3", "high-s4"]


def test_a_sweep_and_its_runs_alone_have_the_same_arms(swept: Path):
    given = [Subject.of(load_run(swept / name)) for name in ("high-s3", "high-s4", "low-s3")]
    compared, of_sweep = arms.of_runs(given), arms.of_sweep(load_sweep(swept))
    assert compared.keys == ("moe.alpha",)
    assert [(arm.label, [run.seed for run in arm.runs]) for arm in compared.arms] == [
        (arm.label, [run.seed for run in arm.runs]) for arm in of_sweep.arms
    ]
    assert compared.baseline == "0.5"  # the first one given


def test_runs_that_are_no_replicates_are_arms_of_their_own(swept: Path, finished: Path):
    given = [Subject.of(load_run(path)) for path in (swept / "low-s3", finished)]
    compared = arms.of_runs(given)
    assert [arm.label for arm in compared.arms] == ["low-s3", "small"]  # they differ in much
    assert compared.reading == "One seed per arm."


def test_labels_name_the_settings_unless_there_is_one(frames: RunFrames):
    one = by_hand(frames, [({"moe.alpha": a}, [found()]) for a in (1.0, 0.001)])
    assert [arm.label for arm in one.arms] == ["0.001", "1"]
    two = by_hand(frames, [({"moe.alpha": 1.0, "moe.noise": n}, [found()]) for n in (0.0, 0.5)])
    assert [arm.label for arm in two.arms] == ["alpha 1, noise 0", "alpha 1, noise 0.5"]


def test_many_arms_of_two_settings_have_a_panel_per_value_of_the_second(frames: RunFrames):
    grid = [
        ({"moe.alpha": a, "moe.noise": n}, [found()]) for a in (0.0, 0.1, 1.0) for n in (0, 1, 2)
    ]
    compared = by_hand(frames, grid)
    assert [(arm.series, arm.panel) for arm in compared.arms][:4] == [
        *(("0", "noise 0"), ("0", "noise 1"), ("0", "noise 2"), ("0.1", "noise 0"))
    ]
    assert compared.series.ordered
    assert compared.series.title == "alpha"


def test_the_pair_is_the_gravest_collapse_and_the_healthiest_run_of_its_seed(frames: RunFrames):
    collapsed = [found(0.1, "collapsed", n_eff=2.0), found(0.1, "collapsed", n_eff=1.1)]
    balanced = [found(0.2), found(0.3)]
    skewed = [found(0.1, "skewed")] * 2
    points = [({"moe.alpha": a}, runs) for a, runs in enumerate((collapsed, skewed, balanced))]
    pair = arms.pair(by_hand(frames, points))
    assert pair is not None
    assert [subject.name for subject in pair] == ["p0-s1", "p2-s1"]


@pytest.mark.parametrize("verdict", ["collapsed", "balanced", None])
def test_runs_that_all_went_alike_have_no_pair(frames: RunFrames, verdict: str | None):
    points = [({"moe.alpha": a}, [found(0.1, verdict)]) for a in (0.0, 0.1)]
    assert arms.pair(by_hand(frames, points)) is None


def test_every_figure_of_a_sweep_has_its_own_name_and_follows_the_schema(swept: Path):
    walls = gallery.of_sweep(load_sweep(swept))
    figures = [drawn for wall in walls for drawn in wall.drawn]
    names = [drawn.name for drawn in figures]
    assert len(set(names)) == len(names)
    for figure in figures:
        if isinstance(figure, Figure):
            figure.chart.to_dict()
            assert rows(figure)


def test_a_sweep_that_has_not_begun_says_why_there_is_no_figure(swept: Path, tmp_path: Path):
    copy = tmp_path / "sweep"
    shutil.copytree(swept, copy, ignore=shutil.ignore_patterns("*-s?"))
    drawn = [one for wall in gallery.of_sweep(load_sweep(copy)) for one in wall.drawn]
    assert all(isinstance(one, Absent) and one.why for one in drawn)
