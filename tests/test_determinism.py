"""Equal configs give equal bytes, and what only watches a run changes nothing in it."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FINISHED, TrainRun, results, rows, small

LEVERS = ("noise=0.5", "top_k=2", "capacity_factor=1.0", "moe_layers=[1]", "accumulate=2")


def test_two_runs_of_one_config_have_equal_bytes(finished: Path, train_run: TrainRun):
    assert results(train_run(*FINISHED)) == results(finished)
    assert results(finished).keys() == {
        *("steps.csv", "utilization.csv", "cv.csv", "aux_loss.csv", "eval.csv", "router.csv"),
        *("step-00000000.npz", "step-00000005.npz", "step-00000010.npz"),
        *("model.safetensors", "optimizer.safetensors", "state.json"),
    }


def test_another_process_writes_the_same_bytes(finished: Path, tmp_path: Path):
    command = [sys.executable, "-m", "moe_lab", "train", *small(*FINISHED)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "runs/small\n")
    assert results(tmp_path / "runs" / "small") == results(finished)


def test_equal_bytes_with_every_lever_and_another_state_of_the_process(train_run: TrainRun):
    first = train_run(*LEVERS)
    seed_everything(1)
    assert results(train_run(*LEVERS)) == results(first)


@pytest.mark.parametrize("setting", ["seed=1", "alpha=0.02", "noise=0.1", "lr=1e-3"])
def test_what_is_part_of_the_experiment_changes_it(train_run: TrainRun, finished: Path, setting):
    other = train_run(*FINISHED, setting)
    assert results(other)["model.safetensors"] != results(finished)["model.safetensors"]


@pytest.mark.parametrize(
    "setting",
    [
        *("eval.every=1", "eval.every=3", "tokens=512", "log.every=3", "checkpoint.every=1"),
        *("checkpoint.keep=1", "router_grad_every=1", "eval_capacity_factor=0.5"),
    ],
)
def test_what_only_watches_a_run_does_not_change_it(finished: Path, train_run: TrainRun, setting):
    watched = train_run(*FINISHED, setting)
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert results(watched)[name] == results(finished)[name]
    expected = {row["step"]: row for row in rows(finished, "steps")}
    for row in rows(watched, "steps"):
        assert row == expected[row["step"]]


def test_noise_leaves_data_and_initial_weights_as_they_are(train_run: TrainRun):
    settings = ("steps=2", "checkpoint.keep=9")
    quiet, noisy = train_run(*settings), train_run(*settings, "noise=2")
    start = Path("checkpoints", "step-00000000", "model.safetensors")
    assert (quiet / start).read_bytes() == (noisy / start).read_bytes()
    assert rows(quiet, "eval", step=0) == rows(noisy, "eval", step=0)
    # The first router's clean logits depend on weights and batch alone; its choice is another.
    mine, yours = (rows(run, "cv", step=1, layer=0)[0] for run in (quiet, noisy))
    for column in ("router_entropy", "margin"):
        assert mine[column] == yours[column]
    assert mine["cv"] != yours["cv"]


def test_evaluation_has_no_noise(train_run: TrainRun):
    runs = [train_run("steps=1", f"noise={noise}") for noise in (0, 100)]
    first, second = (rows(run, "utilization", step=0) for run in runs)
    assert first == second


def test_nothing_draws_from_a_global_generator(train_run: TrainRun):
    seed_everything(7)
    before = generators()
    train_run(*LEVERS)
    assert generators() == before


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def generators() -> tuple[object, ...]:
    """Not Python's own: the checks of shapes, which tests switch on, draw from that one."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return kind, keys.tolist(), *rest, torch.get_rng_state().tolist()
