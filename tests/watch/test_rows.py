"""What is told of a run, however little of it is there at a time."""

import shutil
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FINISHED, TrainRun, rows, small

from moe_lab import session
from moe_lab.config import load
from moe_lab.errors import ArtefactError
from moe_lab.frames import load_run
from moe_lab.progress import Story
from moe_lab.store import following
from moe_lab.store.following import CutBack
from moe_lab.store.read import StoredRun
from moe_lab.watch.rows import RunFollower
from moe_lab.watch.run import facts

from .conftest import Growing, Heard


def follower(directory: Path) -> RunFollower:
    return RunFollower(StoredRun(directory))


def heard(directory: Path, *, ended: bool = False) -> Heard:
    found = Heard()
    follower(directory).tell(found, ended=ended)
    return found


def plain(step: Any) -> tuple[Any, ...]:
    """A step that can be compared."""
    layers = {
        i: (s.cv, s.n_eff, s.dropped, s.top_k, s.load.tolist()) for i, s in step.layers.items()
    }
    dead = {i: found and found.dead_experts for i, found in step.deaths.items()}
    return step.step, step.lm_loss, step.aux_loss, step.grad_norm, layers, dead


def test_every_step_is_told_with_the_cells_of_its_rows(finished: Path):
    found = heard(finished)
    assert [step.step for step in found.steps] == list(range(1, 11))
    for step, elapsed_s in zip(found.steps, found.elapsed, strict=True):
        (row,) = rows(finished, "steps", step=step.step)
        assert [step.lm_loss, step.aux_loss, step.grad_norm] == [
            float(row[name]) for name in ("lm_loss", "aux_loss", "grad_norm")
        ]
        (timing,) = rows(finished, "timing", step=step.step)
        assert elapsed_s == float(timing["elapsed_s"])
        for layer, seen in step.layers.items():
            (load,) = rows(finished, "utilization", step=step.step, split="train", layer=layer)
            (cv,) = rows(finished, "cv", step=step.step, split="train", layer=layer)
            assert seen.load.tolist() == [float(load[f"expert_0{e}"]) for e in range(4)]
            assert [seen.cv, seen.n_eff, seen.dropped] == [
                float(cv[name]) for name in ("cv", "n_eff", "dropped")
            ]
            dead = cv["dead_experts"]
            assert (
                step.deaths[layer] is None
                if dead == ""
                else step.deaths[layer].dead_experts == float(dead)
            )
        assert sorted(step.layers) == [0, 1]
    losses = [(int(row["step"]), float(row["lm_loss"])) for row in rows(finished, "eval")]
    assert found.evaluations == losses


def test_a_reporter_of_the_training_is_told_the_same(tmp_path: Path):
    told = Heard()
    asked = load(None, small(*FINISHED, "top_k=2", "capacity_factor=0.5"))
    run = session.train(asked, runs_dir=tmp_path, exact=True, reporter=told).directory
    found = heard(run)
    assert list(map(plain, found.steps)) == list(map(plain, told.steps))
    assert found.evaluations == told.evaluations
    # a time is written first and told a little later, before the next step
    assert all(a <= b for a, b in zip(found.elapsed, told.elapsed, strict=True))
    assert all(b <= a for a, b in zip(found.elapsed[1:], told.elapsed, strict=False))


def test_a_run_that_is_followed_tells_the_same_as_one_that_is_read_at_once(growing: Growing):
    found, following_it = Heard(), follower(growing.directory)
    for step in range(11):
        growing.grow(step)
        assert following_it.tell(found) == (step > 0)
        assert following_it.tell(found) == 0
    whole = heard(growing.whole)
    assert list(map(plain, found.steps)) == list(map(plain, whole.steps))
    assert (found.elapsed, found.evaluations) == (whole.elapsed, whole.evaluations)


@pytest.mark.parametrize("piece", [300, 777, 5000])
def test_pieces_that_end_between_the_rows_of_a_step_lose_none(
    finished: Path, monkeypatch: pytest.MonkeyPatch, piece: int
):
    whole = heard(finished)
    monkeypatch.setattr(following, "PIECE", piece)
    found = heard(finished)
    assert list(map(plain, found.steps)) == list(map(plain, whole.steps))
    assert (found.elapsed, found.evaluations) == (whole.elapsed, whole.evaluations)


def test_a_step_is_told_when_all_its_tables_have_it(growing: Growing):
    found, following_it = Heard(), follower(growing.directory)
    for table in ("steps", "utilization", "cv", "aux_loss", "eval", "router"):
        growing.grow(3, table)
        assert following_it.tell(found) == 0
    growing.grow(3, "timing")
    assert following_it.tell(found) == 3


def test_the_last_step_of_a_run_that_diverged_has_no_time_and_is_told_at_the_end(growing: Growing):
    growing.grow(4)
    growing.grow(3, "timing")
    steps = growing.rows("steps", 4).replace(growing.rows("steps", 3), b"").split(b",")
    steps[4] = b"nan"  # lm_loss
    (growing.directory / "steps.csv").write_bytes(growing.rows("steps", 3) + b",".join(steps))
    assert len(heard(growing.directory).steps) == 3
    found = heard(growing.directory, ended=True)
    assert [step.step for step in found.steps] == [1, 2, 3, 4]
    assert isnan(found.steps[-1].lm_loss)
    assert found.elapsed[-1] == found.elapsed[-2]


def test_verdicts_are_those_of_the_whole_history(train_run: TrainRun):
    run = train_run("steps=60", "alpha=0", "init_tilt=9", "n_layers=2", "eval.every=60")
    known = Story(facts(StoredRun(run)))
    follower(run).tell(known)
    assert known.verdicts == load_run(run).verdicts
    assert "collapsed" in known.verdicts.values()
    cv = load_run(run).steps["cv_worst"]
    assert known.cv.ends == (cv.iloc[0], cv.iloc[-1])


def test_a_model_without_experts_has_steps(train_run: TrainRun):
    found = heard(train_run("moe_layers=none", "steps=3"))
    assert [(step.step, step.layers) for step in found.steps] == [(1, {}), (2, {}), (3, {})]


def test_steps_that_are_not_logged_are_left_out(train_run: TrainRun):
    found = heard(train_run("log.every=4"))
    assert [step.step for step in found.steps] == [4, 8, 10]


def test_a_run_that_went_back_is_told_of(growing: Growing):
    following_it = follower(growing.directory)
    growing.grow(8)
    following_it.tell(Heard())
    growing.grow(4)
    with pytest.raises(CutBack):
        following_it.tell(Heard())


def test_rows_that_were_set_aside_are_not_read(growing: Growing):
    growing.grow(4)
    tail = growing.directory / "tail"
    tail.mkdir()
    (tail / "steps-100.csv").write_bytes(b"5,nonsense\n")
    assert len(heard(growing.directory).steps) == 4


@pytest.mark.parametrize(
    ("table", "column", "cell", "message"),
    [
        ("utilization", 3, "0.9", "at step 2: the loads of a row sum to 1, these to "),
        ("utilization", 3, "nan", "at step 2: the loads of a row sum to 1, these to nan"),
        ("utilization", 3, "x", "at step 2: a load is no number"),
        ("steps", 4, "e", "at step 2: lm_loss is 'e': no number"),
        ("steps", 0, "-2", "step is '-2': no whole number"),
        ("timing", 1, "inf", "at step 2: elapsed_s is no time"),
    ],
)
def test_a_cell_that_nobody_wrote_is_refused_with_its_file_and_step(
    finished: Path, tmp_path: Path, table: str, column: int, cell: str, message: str
):
    run = shutil.copytree(finished, tmp_path / "run")
    path = run / f"{table}.csv"
    lines = path.read_text().splitlines()
    number = next(
        i
        for i, line in enumerate(lines)
        if line.startswith(("2,train", "2,") if table != "utilization" else "2,train")
    )
    cells = lines[number].split(",")
    cells[column] = cell
    lines[number] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ArtefactError) as caught:
        heard(run)
    assert f"{path} is corrupt" in str(caught.value)
    assert message in str(caught.value)


def test_a_table_of_other_columns_is_refused(finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    path = run / "steps.csv"
    path.write_text(path.read_text().replace("lm_loss", "loss_of_mine"))
    with pytest.raises(ArtefactError, match="there is no column lm_loss"):
        heard(run)


def test_a_thousand_experts_are_read(tmp_path: Path, finished: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    header = ",".join(["step", "split", "layer", *(f"expert_{i:04d}" for i in range(1024))])
    load = np.full(1024, 1 / 1024)
    kept = [line.split(",")[:3] for line in (run / "utilization.csv").read_text().splitlines()[1:]]
    body = [",".join([*place, *map(repr, load.tolist())]) for place in kept]
    (run / "utilization.csv").write_text("\n".join([header, *body]) + "\n")
    found = heard(run)
    assert found.steps[-1].layers[1].load.tolist() == load.tolist()
