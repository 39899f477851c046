import re
from math import fsum, inf, isclose, isfinite, isnan

import pytest
import torch
from conftest import Cli, TrainRun, build_experiment, rows
from torch import Tensor
from torch.nn import functional as F

from moe_lab.experiment import Experiment
from moe_lab.loop import train_step
from moe_lab.passes import weighted
from moe_lab.routing.base import Routing
from moe_lab.rows import Step
from moe_lab.store.read import StoredRun

BALANCERS = ("switch", "importance", "router_z")
# Every step multiplies all weights by 1 - 10 * 1000: attention overflows after a few.
MICRO_BATCH = "balance={name: switch, scope: micro_batch}"
EXPLODES = ("lr=10", "weight_decay=1000", "warmup=0", "grad_clip=null", "lr_schedule=constant")


def near(a: float | str, b: float | str, rel: float = 1e-6) -> bool:
    return isclose(float(a), float(b), rel_tol=rel)


def test_weighted_losses_are_weighted_means_over_layers():
    raw = {
        0: {"switch": torch.tensor(1.0), "router_z": torch.tensor(8.0)},
        3: {"switch": torch.tensor(3.0), "router_z": torch.tensor(2.0)},
    }
    found = weighted(raw, {"switch": 0.5, "router_z": 0.1})
    assert found["switch"].item() == pytest.approx(0.5 * (1 + 3) / 2)
    assert found["router_z"].item() == pytest.approx(0.1 * (8 + 2) / 2)


def test_a_loss_without_weight_is_left_out_and_cannot_poison_the_sum():
    raw = {0: {"switch": torch.tensor(1.0), "router_z": torch.tensor(inf)}}
    assert weighted(raw, {"switch": 1.0, "router_z": 0.0}) == {"switch": 1}


def test_a_model_without_experts_has_no_balance_losses():
    assert weighted({}, {"switch": 1.0}) == {}


# Accumulation


def test_a_step_is_the_same_however_it_is_divided(train_run: TrainRun):
    settings = ("steps=2", "alpha=0.5", "grad_clip=null", "router_grad_every=1")
    settings += ("extra=[{name: importance, weight: 0.3}]",)
    whole = train_run("batch_size=24", *settings)
    split = train_run("batch_size=12", "accumulate=2", *settings)
    one, two = rows(whole, "steps", step=1)[0], rows(split, "steps", step=1)[0]
    assert one["tokens"] == two["tokens"]
    assert near(one["lm_loss"], two["lm_loss"])
    assert near(one["aux_loss"], two["aux_loss"])
    assert near(one["grad_norm"], two["grad_norm"], 1e-4)
    assert rows(whole, "utilization", step=1) == rows(split, "utilization", step=1)
    pairs = zip(rows(whole, "aux_loss", step=1), rows(split, "aux_loss", step=1), strict=True)
    for a, b in pairs:
        for name in ("switch_raw", "importance_raw", "router_z_raw"):
            assert near(a[name], b[name], 1e-4)
        for name in ("grad_task", "grad_balance", "grad_cosine", "switch_grad", "importance_grad"):
            assert near(a[name], b[name], 1e-3)
    # the second step starts from the same weights, but for rounding
    assert near(rows(whole, "steps")[1]["lm_loss"], rows(split, "steps")[1]["lm_loss"], 1e-4)


def test_with_micro_batch_scope_aux_loss_is_the_mean_over_micro_batches(train_run: TrainRun):
    settings = ("batch_size=3", "accumulate=4", "alpha=0.7", MICRO_BATCH)
    run = train_run("steps=1", *settings)
    experiment = build_experiment(*settings)
    parts = []
    for micro in range(4):
        batch = experiment.source.batch(1, 3 * micro, 3)
        _, routings = experiment.model(batch.inputs, experiment.stream.at(1, micro))
        parts += [0.7 * switch(routing).item() for routing in routings.values()]
    expected = fsum(parts) / 8  # 4 micro-batches, 2 layers
    assert near(rows(run, "steps")[0]["aux_loss"], expected)
    assert expected < 2 * 0.7  # neither the sum over micro-batches nor over layers


def switch(routing: Routing) -> Tensor:
    """E * sum f_i P_i, written out."""
    load = F.one_hot(routing.expert, routing.n_experts).float().mean(0)
    return routing.n_experts * (load * routing.router_probs.mean(0)).sum()


# Router gradients


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 5.0])
def test_router_gradients_agree_with_two_backward_passes(alpha, accumulate):
    settings = (f"alpha={alpha}", f"accumulate={accumulate}", "router_grad_every=1", MICRO_BATCH)
    measured = train_step(build_experiment(*settings), 1).router_grads
    experiment = build_experiment(*settings)
    routers = [layer.router.weight for layer in experiment.model.moe_layers().values()]
    task = [torch.zeros_like(weight) for weight in routers]
    balance = [torch.zeros_like(weight) for weight in routers]
    for micro in range(accumulate):
        batch = experiment.source.batch(1, 4 * micro, 4)
        logits, routings = experiment.model(batch.inputs, experiment.stream.at(1, micro))
        lm_loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        aux_loss = alpha * torch.stack([switch(r) for r in routings.values()]).mean()
        add(task, torch.autograd.grad(lm_loss / accumulate, routers, retain_graph=True))
        add(balance, torch.autograd.grad(aux_loss / accumulate, routers))
    for layer, (by_task, by_balance) in enumerate(zip(task, balance, strict=True)):
        assert near(measured[layer]["grad_task"], by_task.norm(), 1e-4)
        assert near(measured[layer]["grad_balance"], by_balance.norm(), 1e-4)
        assert (measured[layer]["grad_balance"] == 0) == (alpha == 0)
        if alpha:
            cosine = F.cosine_similarity(by_task.flatten(), by_balance.flatten(), dim=0)
            assert measured[layer]["grad_cosine"] == pytest.approx(cosine.item(), abs=1e-4)
            assert measured[layer]["switch_grad"] == measured[layer]["grad_balance"]
        else:
            assert measured[layer]["grad_cosine"] is None


def test_the_gradients_of_several_balance_losses_add_up():
    extra = "extra=[{name: router_z, weight: 2}, {name: importance, weight: 3}]"
    experiment = build_experiment("alpha=5", extra, "router_grad_every=1")
    alone = {}
    for name, weight in (("switch", 5), ("router_z", 2), ("importance", 3)):
        one = build_experiment(f"balance={name}", f"alpha={weight}", "router_grad_every=1")
        alone[name] = train_step(one, 1).router_grads
    together = train_step(experiment, 1).router_grads
    for layer, row in together.items():
        for name, measured in alone.items():
            assert near(row[f"{name}_grad"], measured[layer]["grad_balance"], 1e-4)
            cosine = measured[layer]["grad_cosine"]
            assert row[f"{name}_cosine"] == pytest.approx(cosine, abs=1e-4)
        assert row["grad_balance"] < sum(row[f"{name}_grad"] for name in alone)


def test_a_frozen_router_keeps_its_weight_and_all_else_learns():
    experiment = build_experiment("router_lr_factor=0", "router_grad_every=1", "alpha=1")
    before = {n: p.detach().clone() for n, p in experiment.model.named_parameters()}
    assert train_step(experiment, 1).router_grads == {}
    moved = {n for n, p in experiment.model.named_parameters() if not p.equal(before[n])}
    assert moved == {name for name in before if ".router." not in name}


def test_the_router_learns_with_its_own_factor_of_the_learning_rate():
    # AdamW's first step moves every weight by lr * factor, whatever the gradient
    experiment = build_experiment("router_lr_factor=3", "weight_decay=0", "warmup=0")
    before = {n: p.detach().clone() for n, p in experiment.model.named_parameters()}
    lr = train_step(experiment, 1).lr
    moves = {n: (p - before[n]).abs().median() for n, p in experiment.model.named_parameters()}
    router = "blocks.0.feed_forward.router.weight"
    assert moves[router].item() == pytest.approx(3 * lr, rel=0.02)
    assert moves["head"].item() == pytest.approx(lr, rel=0.02)


def add(sums: list[Tensor], grads: tuple[Tensor, ...]) -> None:
    for total, grad in zip(sums, grads, strict=True):
        total += grad


@pytest.mark.parametrize(
    ("every", "router_grad_every", "steps"),
    [(1, 4, {4, 8, 12}), (3, 4, {6, 12}), (5, 2, {5, 10})],
)
def test_router_gradients_are_measured_at_logged_steps(
    train_run: TrainRun, every, router_grad_every, steps
):
    run = train_run("steps=12", f"log.every={every}", f"router_grad_every={router_grad_every}")
    for row in rows(run, "aux_loss"):
        due = row["split"] == "train" and int(row["step"]) in steps
        assert bool(row["grad_task"]) == bool(row["grad_balance"]) == due


# A loss or gradient that is not finite


def frozen(experiment: Experiment) -> list[Tensor]:
    state = experiment.optimizer.state.values()
    moments = [moment.clone() for each in state for moment in each.values()]
    return [*(v.clone() for v in experiment.model.state_dict().values()), *moments]


def expect_fault(experiment: Experiment, step: int, message: str) -> Step:
    before = frozen(experiment)
    result = train_step(experiment, step)
    assert re.fullmatch(message, result.fault or "")
    assert all(map(torch.equal, before, frozen(experiment)))
    return result


@pytest.mark.parametrize("value", [inf, -inf])
def test_a_loss_that_is_not_finite_does_not_reach_the_weights(value):
    experiment = build_experiment("router_grad_every=1", "balance=loss_free")
    for step in (1, 2):
        train_step(experiment, step)
    with torch.no_grad():
        experiment.model.head[0, 0] = value
    result = expect_fault(experiment, 3, "the loss became (inf|nan)")
    assert not isfinite(result.lm_loss)
    assert isnan(result.grad_norm)
    assert result.router_grads == {}
    assert sum(result.layers[0].counts) == 4 * 16  # the routing was measured all the same


def test_a_later_micro_batch_may_be_the_one_that_is_not_finite():
    experiment = build_experiment("accumulate=2", "batch_size=1", "vocab_size=64", "n_domains=1")
    first, second = (
        set(experiment.source.batch(1, i, 1).inputs.flatten().tolist()) for i in (0, 1)
    )
    with torch.no_grad():
        experiment.model.embedding[(second - first).pop()] = inf
    expect_fault(experiment, 1, r"the loss became nan \(router logits .* in layer 0, 1\)")


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights():
    experiment = build_experiment()
    train_step(experiment, 1)
    experiment.model.embedding.register_hook(lambda grad: grad * inf)
    result = expect_fault(experiment, 2, "the gradient norm became (inf|nan)")
    assert isfinite(result.lm_loss)


def test_the_layers_whose_router_logits_are_not_finite_are_named():
    experiment = build_experiment()
    with torch.no_grad():
        experiment.model.blocks[1].feed_forward.router.weight[2] = inf
    expect_fault(experiment, 1, r"the loss became nan \(router logits are not finite in layer 1\)")


def test_divergence_is_exit_6_and_the_last_checkpoint_stays(cli: Cli, tmp_path):
    settings = [*EXPLODES, "vocab_size=16", "d_model=16", "d_expert=16", "seq_len=8"]
    settings += ["eval.tokens=64", "batch_size=2", "steps=30", "checkpoint.every=1"]
    done = cli("train", *settings, "--name", "x", "--runs-dir", tmp_path)
    assert done.exit_code == 6
    message = r"error: the (loss|gradient norm) became (inf|nan) .*at step \d+ \(lr 10\); the last"
    assert re.match(message, done.stderr.splitlines()[-2])
    assert "Traceback" not in done.stderr
    run = StoredRun(tmp_path / "x")
    assert run.status["state"] == "diverged"
    assert [event["kind"] for event in run.events] == ["start", "diverged"]
    assert not run.is_finished
    last = run.status["step"]
    assert 0 < last < 30
    assert f"; the last checkpoint, of step {last}, is good" in run.status["reason"]
    *before, faulty = rows(run.directory, "steps")
    assert all(isfinite(float(row["loss"])) for row in before)
    assert faulty["step"] == str(last + 1)
    assert not isfinite(float(faulty["grad_norm"]))
    # going on from the last checkpoint ends in the same way: it is whole
    again = cli("resume", tmp_path / "x")
    assert again.exit_code == 6
    assert f"at step {last + 1}" in again.stderr
    assert cli("report", tmp_path / "x").exit_code == 0
