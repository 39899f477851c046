"""What a notebook sees of a sweep."""

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, small

from moe_lab.config import load
from moe_lab.errors import ArtefactError
from moe_lab.plan import Plan, Point
from moe_lab.report import sweep_reading, sweep_tables
from moe_lab.store.sweep import StoredSweep, create_sweep
from moe_lab.sweep_frames import SweepFrames, load_sweep

POINTS = (
    Point("switch", {"moe.alpha": 0.0, "moe.balance": {"name": "switch", "scope": "batch"}}),
    Point("null", {"moe.alpha": 0.5, "moe.balance": {"name": "importance", "of": "probabilities"}}),
)
SHORT = ("steps=3", "eval.every=3")


@pytest.fixture(scope="module")
def path(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two points at two seeds; the second point has not begun."""
    plan = Plan(("moe.alpha", "moe.balance"), POINTS, (3, 4), "switch")
    base = load(None, small(*SHORT))
    runs = tmp_path_factory.mktemp("runs")
    sweep = create_sweep(runs, "sweep", plan, base=base.dump(), config=b"")
    for seed in plan.seeds:
        asked = small(*SHORT, "alpha=0.0", f"seed={seed}", f"name=switch-s{seed}")
        done = cli("train", *asked, "--runs-dir", sweep.directory)
        assert done.exit_code == 0, done.stderr
    return sweep.directory


@pytest.fixture
def frames(path: Path) -> SweepFrames:
    return load_sweep(path)


def rows(table: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(table.splitlines()))


@pytest.mark.parametrize(
    ("table", "written"), [("runs", sweep_tables.runs_csv), ("points", sweep_tables.to_csv)]
)
def test_frames_have_every_cell_of_the_files(frames: SweepFrames, table: str, written: Any):
    frame = getattr(frames, table)
    expected = rows(written(sweep_reading.read(StoredSweep(frames.directory))))
    assert list(frame.columns) == list(expected[0])
    for (_, row), line in zip(frame.iterrows(), expected, strict=True):
        for column, cell in line.items():
            assert is_cell(row[column], cell), column


def is_cell(value: Any, written: str) -> bool:
    """Whether a value of a frame is that of a cell; blanks are NaN, and whole numbers may be floats."""
    if written == "":
        return value != value
    return str(value) == written or value == float(written)


def test_a_run_that_has_not_finished_has_settings_and_no_outcomes(frames: SweepFrames):
    runs = frames.runs.set_index("run")
    assert runs["state"].to_dict() == {
        **{"switch-s3": "finished", "switch-s4": "finished"},
        **{"null-s3": "pending", "null-s4": "pending"},
    }
    assert runs.loc["null-s3", "moe.alpha"] == 0.5
    assert runs.loc["null-s3", ["gap", "verdict", "n_eff"]].isna().all()
    assert runs.loc["switch-s4", "gap"] == frames.run("switch-s4").eval["gap"].iloc[-1]


def test_points_are_means_over_seeds_and_may_be_called_null(frames: SweepFrames):
    points = frames.points.set_index("point")
    assert points["n"].to_dict() == {"switch": 2, "null": 0}
    gaps = frames.runs.query("state == 'finished'")["gap"]
    assert points.loc["switch", "gap_mean"] == pytest.approx(gaps.mean(), rel=1e-15)
    assert points["moe.balance"].nunique() == 2  # JSON, so that frames can be grouped by a method


@pytest.mark.parametrize("table", ["runs", "points"])
def test_every_column_of_every_frame_is_explained(frames: SweepFrames, table: str):
    described = frames.describe(table)
    assert list(described.index) == list(getattr(frames, table).columns)
    assert described["meaning"].str.len().min() > 0


def test_an_unknown_frame_is_no_frame(frames: SweepFrames):
    with pytest.raises(KeyError):
        frames.describe("losses")


def test_frames_are_of_the_folders_and_not_of_the_files_beside_them(frames: SweepFrames):
    (frames.directory / "runs.csv").write_text("old\n")
    assert len(frames.runs) == 4


def test_plan_and_runs_are_at_hand(frames: SweepFrames):
    assert frames.plan.points == POINTS
    assert frames.run("switch-s3").config["seed"] == 3
    with pytest.raises(ArtefactError, match="null-s3 is not a moe-lab run"):
        frames.run("null-s3")


def test_a_sweep_is_its_own_path(path: Path):
    frames = load_sweep(str(path))
    assert os.fspath(frames) == str(path)
    assert load_sweep(frames).directory == path
    assert str(path) in repr(frames)


def test_what_is_no_sweep_is_refused(path: Path):
    with pytest.raises(ArtefactError):
        load_sweep(path / "switch-s3")
