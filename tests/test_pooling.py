"""Statistics over micro-batches, and how often the model is run for them."""

import pytest
import torch
from conftest import build_experiment

from moe_lab.loop import train_step
from moe_lab.pooling import by_layer, pools, step_losses


def scope(name: str) -> str:
    return f"balance={{name: switch, scope: {name}}}"


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        (("accumulate=1",), 1),
        (("accumulate=3", scope("batch")), 6),  # every micro-batch ahead, and again
        (("accumulate=3", scope("global")), 3),
        (("accumulate=3", scope("micro_batch")), 3),
        (("accumulate=3", "alpha=0"), 3),  # measured, and not trained on
        (("accumulate=3", "balance=loss_free"), 3),
        (("accumulate=3", "balance=importance"), 6),
    ],
)
def test_the_model_sees_a_step_twice_only_for_a_loss_that_must_know_it_first(settings, passes):
    experiment, seen = build_experiment(*settings), []
    experiment.model.register_forward_hook(lambda *_: seen.append(1))
    train_step(experiment, 1)
    assert len(seen) == passes


def test_one_process_with_one_micro_batch_pools_nothing():
    ahead, along = pools(build_experiment())
    assert (dict(ahead.members), dict(along.members)) == ({}, {})


def test_means_are_of_all_tokens_that_were_added():
    experiment = build_experiment("accumulate=3", "alpha=0", "noise=0.5")
    _, along = pools(experiment)
    assert {name for _, name in along.members} == {"switch", "importance"}
    loads, probs = [], []
    for micro in range(3):
        batch = experiment.source.batch(1, 4 * micro, 4)
        _, routings = experiment.model(batch.inputs, experiment.stream.at(1, micro))
        along.add(routings)
        loads.append(routings[1].counts())
        probs.append(routings[1].router_probs)
        means = along.means()
        counts = torch.stack(loads).sum(0)
        f, p = counts / counts.sum(), torch.cat(probs).mean(0)
        torch.testing.assert_close(means[1, "switch"].float(), torch.stack([f, p]).detach())
        torch.testing.assert_close(means[1, "importance"][0].float(), p.detach())
    found = step_losses(experiment, means)[1]
    assert found["switch"] == pytest.approx(4 * (f * p).sum().item(), rel=1e-6)
    assert found["importance"] == pytest.approx((4 * p.square().sum() - 1).item(), abs=1e-6)
    assert by_layer(means)[1].keys() == {"switch", "importance"}


def test_globally_each_micro_batch_is_held_against_the_load_so_far_of_its_own_step():
    settings = ("accumulate=3", "batch_size=3", "alpha=0.7", scope("global"))
    experiment = build_experiment(*settings)
    train_step(experiment, 1)  # leaves nothing of its load behind
    parts, counts = [], {0: 0, 1: 0}
    for micro in range(3):
        batch = experiment.source.batch(2, 3 * micro, 3)
        _, routings = experiment.model(batch.inputs, experiment.stream.at(2, micro))
        for layer, routing in routings.items():
            counts[layer] = counts[layer] + routing.counts()
            f = counts[layer] / counts[layer].sum()
            parts.append(0.7 * 4 * (f * routing.router_probs.mean(0)).sum().item())
    assert train_step(experiment, 2).aux_loss == pytest.approx(sum(parts) / 6, rel=1e-6)


@pytest.mark.parametrize("balance", [scope("batch"), "balance=importance"])
def test_a_loss_that_is_only_measured_reads_what_it_does_when_it_is_trained_on(balance):
    settings = ("accumulate=3", "batch_size=3", "noise=0.5", balance)
    measured = train_step(build_experiment(*settings, "alpha=0"), 1)
    trained = train_step(build_experiment(*settings, "alpha=0.5"), 1)
    for layer in (0, 1):
        for name in ("switch", "importance"):
            assert measured.layers[layer].raw[name] == pytest.approx(
                trained.layers[layer].raw[name], rel=1e-6
            )
