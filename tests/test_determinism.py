"""Equal configs give equal bytes, and what only watches a run changes nothing in it.

Levels: L0 two runs in one process, L1 two processes, L2 a resumed run (tests/reliability/test_cuts.py), L3 draws
(test_streams.py, and here over thread counts), L4 results over thread counts, which are close and no more.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FINISHED, TrainRun, results, rows, small
from poison import GlobalDraw, poisoned
from torch.nn import functional

from moe_lab import machine

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
    record = json.loads((tmp_path / "runs" / "small" / "run.json").read_text())
    assert record["torch"] == {"interop_threads": 1, "deterministic_algorithms": True}


@pytest.fixture
def two_threads() -> Iterator[None]:
    """A run of train.threads=2 leaves them set."""
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
def test_another_number_of_threads_draws_the_same_and_ends_close(train_run: TrainRun):
    settings = ("steps=3", "batch_size=32", "checkpoint.keep=9")
    one, two = (train_run(*settings, f"train.threads={threads}") for threads in (1, 2))
    start = Path("checkpoints", "step-00000000", "model.safetensors")
    assert (one / start).read_bytes() == (two / start).read_bytes()
    for mine, yours in zip(rows(one, "steps"), rows(two, "steps"), strict=True):
        assert float(mine["lm_loss"]) == pytest.approx(float(yours["lm_loss"]), rel=1e-4)
    assert json.loads((two / "run.json").read_text())["threads"] == 2


def test_run_json_says_which_level_holds_and_what_it_depends_on(finished: Path):
    record = json.loads((finished / "run.json").read_text())
    said = record["determinism"]
    assert said["level"].startswith("L2: tables and weights are bitwise equal")
    for key in said["depends_on"]:
        section, _, name = key.partition(".")
        assert name in record[section] if name else section in record
    assert machine.determinism(torch.device("cuda"))["level"].endswith("was not tested")
    assert record["world_size"] == 1
    assert "gloo" not in said["level"]
    assert "gloo" in machine.determinism(torch.device("cpu"), 2)["level"]
    assert "NCCL" in machine.determinism(torch.device("cuda"), 2)["level"]


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
        *(
            "checkpoint.every=7",
            "checkpoint.keep=1",
            "router_grad_every=1",
            "eval_capacity_factor=0.5",
        ),
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


# Global generators


@pytest.mark.parametrize("levers", [LEVERS, ("router=noisy_top_k", "top_k=2", "ablation=true")])
def test_nothing_draws_from_a_global_generator(train_run: TrainRun, levers: tuple[str, ...]):
    seed_everything(7)
    before = generators()
    with poisoned():
        train_run("steps=2", *levers)
    assert generators() == before


HALVES = torch.full((3,), 0.5)
DRAWS: dict[str, Callable[[], object]] = {
    "random": lambda: random.random(),
    "shuffle": lambda: random.shuffle([1, 2]),
    "numpy": lambda: np.random.rand(1),  # noqa: NPY002
    "unseeded": lambda: np.random.default_rng(),
    "rand": lambda: torch.rand(2),
    "randperm": lambda: torch.randperm(4),
    "multinomial": lambda: HALVES.multinomial(1),
    "bernoulli": lambda: torch.bernoulli(HALVES),
    "normal_": lambda: torch.empty(2).normal_(),
    "dropout": lambda: functional.dropout(HALVES),
    "layer": lambda: torch.nn.Linear(2, 2),  # its initial weights
    "attention": lambda: attention(dropout_p=0.5),
    "default": lambda: torch.rand(2, generator=torch.default_generator),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_a_poisoned_draw_raises(draw: str):
    with pytest.raises(GlobalDraw), poisoned():
        DRAWS[draw]()


def test_draws_from_a_generator_of_its_own_are_no_global_ones():
    with poisoned():
        torch.rand(2, generator=torch.Generator().manual_seed(1))
        np.random.default_rng(1).random()
        random.Random(1).random()
        attention(dropout_p=0)


def attention(**options: float) -> torch.Tensor:
    one = torch.ones(1, 1, 2, 2)
    return functional.scaled_dot_product_attention(one, one, one, **options)


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def generators() -> tuple[object, ...]:
    """Not Python's own: the checks of shapes, which tests switch on, draw from that one."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return kind, keys.tolist(), *rest, torch.get_rng_state().tolist()
