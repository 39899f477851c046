"""Losses in the files of a run: what is optimised, what is only measured, and how they add up."""

from math import fsum, isclose

import pytest
from conftest import TrainRun, results, rows

BALANCERS = ("switch", "importance", "router_z")


@pytest.mark.parametrize(
    "settings",
    [
        ("alpha=0.3",),
        ("alpha=0.3", "moe_layers=[1]", "accumulate=2"),
        ("alpha=0.3", "extra=[{name: router_z, weight: 0.01}]"),
        ("alpha=0.3", "balance=importance", "extra=[{name: switch, weight: 0.1}]"),
        ("alpha=0",),
    ],
    ids=" ".join,
)
def test_aux_loss_is_the_mean_over_layers_of_the_weighted_losses(train_run: TrainRun, settings):
    run = train_run("steps=3", *settings)
    for step in rows(run, "steps"):
        layers = rows(run, "aux_loss", step=step["step"], split="train")
        weighted = [fsum(float(row[f"{name}_weighted"]) for name in BALANCERS) for row in layers]
        assert isclose(float(step["aux_loss"]), fsum(weighted) / len(layers), rel_tol=1e-6)
        assert float(step["loss"]) == float(step["lm_loss"]) + float(step["aux_loss"])
    assert (float(step["aux_loss"]) == 0) == (settings == ("alpha=0",))


@pytest.mark.parametrize("balance", BALANCERS)
def test_every_loss_is_measured_whatever_is_optimised(train_run: TrainRun, balance):
    run = train_run("steps=2", f"balance={balance}", "alpha=0.5", "eval.every=1")
    for row in rows(run, "aux_loss"):
        for name in BALANCERS:
            raw, weighted = float(row[f"{name}_raw"]), float(row[f"{name}_weighted"])
            assert raw > 0
            assert weighted == (0.5 * raw if name == balance else 0)


def test_without_weight_the_losses_are_measured_and_not_optimised(train_run: TrainRun):
    settings = ("steps=3", "router_grad_every=1")
    switch = train_run("alpha=0", *settings)
    other = train_run("alpha=0", "balance=router_z", *settings)
    assert results(switch)["model.safetensors"] == results(other)["model.safetensors"]
    assert rows(switch, "aux_loss") == rows(other, "aux_loss")
    assert all(float(row["switch_raw"]) > 0 for row in rows(switch, "aux_loss"))
    assert all(row["switch_weighted"] == "0.0" for row in rows(switch, "aux_loss"))


def test_an_extra_balancer_adds_its_own_weighted_loss(train_run: TrainRun):
    plain = train_run("steps=2", "alpha=0.01")
    extra = train_run("steps=2", "alpha=0.01", "extra=[{name: router_z, weight: 1e-3}]")
    before, after = rows(plain, "steps", step=1)[0], rows(extra, "steps", step=1)[0]
    z = [float(row["router_z_raw"]) for row in rows(extra, "aux_loss", step=1)]
    added = float(after["aux_loss"]) - float(before["aux_loss"])
    assert isclose(added, 1e-3 * fsum(z) / 2, rel_tol=1e-4)  # a difference of float32
    assert after["lm_loss"] == before["lm_loss"]
    for row in rows(extra, "aux_loss"):
        assert float(row["router_z_weighted"]) == 1e-3 * float(row["router_z_raw"])


def test_evaluation_losses_hold_no_penalty(train_run: TrainRun):
    runs = [train_run("steps=1", f"alpha={alpha}") for alpha in (0, 100)]
    first, second = (rows(run, "eval", step=0)[0] for run in runs)
    assert first == second
    # and the training loss of the same weights differs by the penalty alone
    first, second = (rows(run, "steps")[0] for run in runs)
    assert first["lm_loss"] == second["lm_loss"]
    assert float(second["aux_loss"]) > 50
