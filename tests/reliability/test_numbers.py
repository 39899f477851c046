"""Numbers that are not finite, and memory that is not there: a named error, and the checkpoint before is whole."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import inf, isfinite, isnan, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FINISHED, TrainRun, results, rows, small
from torch.nn.modules import module

from moe_lab import session
from moe_lab.config import load
from moe_lab.errors import DivergedError, OutOfMemoryError
from moe_lab.model import LanguageModel
from moe_lab.progress import Silent
from moe_lab.store.commit import newest_commit
from moe_lab.store.read import StoredRun

from .conftest import scale

Poison = Callable[[LanguageModel], object]


@contextmanager
def before_pass(wanted: int, poison: Poison, *, training: bool = True) -> Iterator[None]:
    """Something happens to a model just before its forward pass of that number, from 1, of one kind."""
    passes = count(1)

    def seen(called: torch.nn.Module, arguments: object) -> None:
        ours = isinstance(called, LanguageModel) and called.training == training
        if ours and next(passes) == wanted:
            poison(called)

    hook = module.register_module_forward_pre_hook(seen)
    try:
        yield
    finally:
        hook.remove()


def layer(model: LanguageModel) -> torch.nn.Module:
    """The second MoE layer."""
    return model.moe_layers()[1]


POISONS: dict[str, tuple[Poison, str]] = {
    "loss": (lambda model: model.head.data.fill_(inf), "the loss became nan at step"),
    "expert": (lambda model: layer(model).experts.w_in.data[2].fill_(nan), "the loss became nan at step"),
    "router": (
        lambda model: layer(model).router.weight.data[2].fill_(nan),
        r"the loss became nan \(router logits are not finite in layer 1\) at step",
    ),
    "gradient": (
        lambda model: model.head.register_hook(lambda grad: grad * inf),
        "the gradient norm became (inf|nan) at step",
    ),
}  # fmt: skip
ALL = [(name, step) for name in POISONS for step in range(1, 11)]
SOME = [("loss", 1), ("expert", 5), ("router", 6), ("gradient", 10)]


def go_wrong(runs: Path, kind: type[Exception]) -> tuple[pytest.ExceptionInfo, StoredRun]:
    asked = load(None, small(*FINISHED))
    with pytest.raises(kind) as caught:
        session.train(asked, runs_dir=runs, exact=True, reporter=Silent())
    return caught, StoredRun(runs / "small")


def expect_whole(run: StoredRun, step: int, golden: Path) -> None:
    """The checkpoint of a step is the newest one, finite, and leads to the undisturbed end."""
    state = newest_commit(run.directory).state
    assert state.step == run.status["step"] == step
    arrays = [*state.model.values(), *state.optimizer.values()]
    assert all(np.isfinite(array).all() for array in arrays)
    session.resume(run.directory, reporter=Silent())
    assert results(run.directory) == results(golden)


@pytest.mark.parametrize(("name", "step"), scale(SOME, ALL))
def test_what_is_not_finite_is_written_as_a_row_and_nowhere_else(
    name: str, step: int, finished: Path, tmp_path: Path
):
    poison, message = POISONS[name]
    with before_pass(step, poison):
        caught, run = go_wrong(tmp_path, DivergedError)
    saved = (step - 1) // 4 * 4
    assert caught.match(message + rf" {step} \(lr [0-9.e-]+\); the last .* step {saved}, is good")
    assert run.status["state"] == "diverged"
    assert run.status["reason"] == str(caught.value)
    *before, faulty = rows(run.directory, "steps")
    assert [row["step"] for row in (*before, faulty)] == [str(n) for n in range(1, step + 1)]
    assert all(isfinite(float(row["loss"])) for row in before)
    assert isfinite(float(faulty["loss"])) == (name == "gradient")
    assert not isfinite(float(faulty["grad_norm"]))
    assert float(faulty["n_eff_worst"]) >= 1  # what was measured stays
    expect_whole(run, saved, finished)


def test_a_held_out_loss_that_is_not_finite_ends_the_run(finished: Path, tmp_path: Path):
    passes = 2  # of one evaluation; the first is of step 0
    with before_pass(passes + 2, POISONS["router"][0], training=False):
        caught, run = go_wrong(tmp_path, DivergedError)
    assert caught.match(r"held-out loss became nan \(router .* in layer 1\) after step 5; the last")
    assert caught.value.exit_code == 6
    assert isnan(float(rows(run.directory, "eval")[-1]["lm_loss"]))
    expect_whole(run, 4, finished)


def test_a_capacity_of_one_token_drops_nearly_all_and_everything_is_defined(train_run: TrainRun):
    run = train_run("capacity_factor=0.001", "steps=4", "router_grad_every=1")
    for row in rows(run, "cv", split="train"):
        # 64 tokens; each of the experts that were chosen keeps one
        chosen = round(64 * (1 - float(row["dropped"])))
        assert 1 <= chosen <= 4
        assert all(isfinite(float(row[name])) for name in ("cv", "cv_kept", "n_eff_kept", "margin"))
    assert all(isfinite(float(row["loss"])) for row in rows(run, "steps"))
    assert all(isfinite(float(row["lm_loss"])) for row in rows(run, "eval"))


def test_a_gpu_out_of_memory_ends_the_run_and_the_checkpoint_is_whole(
    finished: Path, tmp_path: Path
):
    def refuse(model: LanguageModel) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with before_pass(6, refuse):
        caught, run = go_wrong(tmp_path, OutOfMemoryError)
    assert (caught.value.exit_code, run.status["state"]) == (8, "failed")
    expect_whole(run, 4, finished)


LIMITED = """
import resource, sys
import torch
from moe_lab import session
from moe_lab.cli import app
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 200_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
app(sys.argv[1:])
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not hold a process to its address space"
)
def test_a_machine_without_the_memory_is_told_so_and_nothing_is_left(tmp_path: Path):
    large = small("d_model=512", "d_expert=1024", "n_experts=256")  # 0.5 GB for one matrix
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "train", *large, "--runs-dir", tmp_path / "runs"],
        capture_output=True,
        text=True,
    )
    message = "error: out of memory\n  help: make train.batch_size, model.d_expert or "
    assert (done.returncode, done.stdout) == (8, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
