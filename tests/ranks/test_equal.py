"""Two ranks against one process that trains on the same batch."""

from pathlib import Path

import numpy as np
import pytest
from conftest import build_experiment, rows, small

from moe_lab import session
from moe_lab.config import load
from moe_lab.progress import Silent
from moe_lab.store.read import StoredRun

from .processes import run
from .work import train_all

pytestmark = pytest.mark.engines

CLEAN = (
    "steps=20",
    "batch_size=5",
    "eval.every=20",
    "tokens=32",
    "router_grad_every=5",
    "alpha=0.5",
)
ODD = (*CLEAN, "noise=0.3")
Z = "extra=[{name: router_z, weight: 0.1}]"
JITTER = "router={name: top_k, jitter: 0.3, noise_law: gumbel}"


def scope(name: str) -> str:
    return f"balance={{name: switch, scope: {name}}}"


RUNS = {
    "batch": (*ODD, scope("batch")),
    "batch_of_two": (*ODD, scope("batch"), "accumulate=2"),
    "global": (*ODD, scope("global")),
    "global_of_two": (*ODD, scope("global"), "accumulate=2"),
    "sequence": (*ODD, scope("sequence")),
    "importance": (*ODD, "balance=importance"),
    "importance_of_gates": (*ODD, "balance={name: importance, of: gates}", "accumulate=2"),
    "router_z": (*ODD, Z, JITTER, "top_k=2"),
    "loss_free": (*ODD, "balance={name: loss_free, speed: 0.01}"),
    "random": (*CLEAN, "router={name: reference, assignment: random}"),
    "round_robin": (*CLEAN, "router={name: reference, assignment: round_robin}", "n_experts=3"),
    "learned_noise": (*CLEAN, "router=noisy_top_k", "top_k=2"),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the runs by two ranks, and by this process."""
    two, one = tmp_path_factory.mktemp("two"), tmp_path_factory.mktemp("one")
    asked = {name: small(f"name={name}", *settings) for name, settings in RUNS.items()}
    run(two, train_all, two, asked)
    for settings in asked.values():
        session.train(load(None, settings), runs_dir=one, exact=True, reporter=Silent())
    return two, one


@pytest.mark.parametrize("name", RUNS)
def test_losses_and_gradients_are_those_of_one_process(both: tuple[Path, Path], name: str):
    two, one = (StoredRun(folder / name).table("steps") for folder in both)
    assert list(two.columns) == list(one.columns)
    assert len(two) == 20
    for column in ("lm_loss", "aux_loss", "loss", "grad_norm"):
        # importance is E * sum P^2 - 1 near 1 - 1: what rounding takes of 1 it takes of the difference
        atol = 1e-8 if name == "importance" and column == "aux_loss" else 0
        np.testing.assert_allclose(two[column], one[column], rtol=1e-6, atol=atol)


@pytest.mark.parametrize("name", RUNS)
def test_counts_and_what_routers_did_are_those_of_one_process(both: tuple[Path, Path], name: str):
    counts = [StoredRun(folder / name).table("utilization") for folder in both]
    assert counts[0].equals(counts[1])
    for table, rtol in (("cv", 1e-5), ("aux_loss", 1e-4)):
        two, one = (StoredRun(folder / name).table(table) for folder in both)
        assert list(two.columns) == list(one.columns)
        for column in two.columns.drop("split"):
            np.testing.assert_allclose(two[column], one[column], rtol=rtol, atol=1e-7)


def test_the_bias_moves_by_the_counts_of_all_ranks(both: tuple[Path, Path]):
    names = [f"blocks.{layer}.feed_forward.balancers.loss_free.bias" for layer in (0, 1)]
    two, one = (bias(folder / "loss_free", names) for folder in both)
    np.testing.assert_array_equal(two, one)
    assert np.abs(two).max() > 0.02  # of steps of 0.01


def bias(directory: Path, names: list[str]) -> np.ndarray:
    import safetensors.numpy

    newest = max((directory / "checkpoints").iterdir())
    stored = safetensors.numpy.load_file(newest / "model.safetensors")
    return np.stack([stored[name] for name in names])


# What differs by definition: the load that one rank sees

PURE = ("steps=4", "batch_size=2", "n_domains=2", "n_experts=2", "alpha=1", "router_grad_every=1")
PURE += ("router={name: reference, assignment: domain}",)


def test_ranks_of_different_domains_read_their_own_load_by_micro_batch_and_balance_by_batch(
    tmp_path: Path,
):
    # Each rank has one sequence, and expert 0 has the tokens of domain 0, expert 1 those of domain 1. Where the two
    # sequences are of different domains, the load of both ranks is (1/2, 1/2): 2 (P_0 + P_1) / 2 = 1 for every P, and
    # no gradient. By micro_batch rank r has all its load on its own expert: 2 P_r, which is 1 by chance, and pushes.
    scopes = ("batch", "micro_batch")
    asked = {name: small(f"name={name}", *PURE, scope(name)) for name in scopes}
    run(tmp_path, train_all, tmp_path, asked)
    source = build_experiment(*PURE).source
    mixed = [step for step in range(1, 5) if source.batch(step, 0, 2).domains[:, 0].sum() == 1]
    assert mixed, "no step has two domains: choose another seed"
    for step in mixed:
        whole = rows(tmp_path / "batch", "aux_loss", step=step, split="train")
        own = rows(tmp_path / "micro_batch", "aux_loss", step=step, split="train")
        for row in whole:
            assert float(row["switch_raw"]) == pytest.approx(1, abs=1e-6)
            assert float(row["grad_balance"]) == pytest.approx(0, abs=1e-7)
        for row in own:
            assert abs(float(row["switch_raw"]) - 1) > 1e-5
            assert float(row["grad_balance"]) > 1e-3
