"""Losses over a step of several micro-batches, against the same tokens in one large batch."""

import pytest
import torch
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.balancing.importance import Importance
from moe_lab.balancing.switch import Switch

MICRO_BATCHES, TOKENS, E, TOP_K = 3, 11, 5, 2
LOGITS = torch.randn(
    MICRO_BATCHES * TOKENS, E, generator=torch.Generator().manual_seed(3), dtype=torch.float64
)


def routed(record, logits: Tensor):
    """Some experts are everybody's favourites, so that micro-batches differ."""
    return record(logits.detach().topk(TOP_K, dim=-1).indices.tolist(), logits=logits)


def of_step(record, balancer: Balancer) -> tuple[Tensor, Tensor]:
    """Mean loss over micro-batches, and its gradient."""
    logits = LOGITS.clone().requires_grad_()
    routings = [routed(record, part) for part in logits.split(TOKENS)]
    with torch.no_grad():
        balancer.before_step(routings)
    loss = torch.stack([balancer.loss(routing) for routing in routings]).mean()
    loss.backward()
    balancer.after_step(torch.ones(E, dtype=torch.int64))
    return loss.detach(), logits.grad


def of_one_batch(record, balancer: Balancer) -> tuple[Tensor, Tensor]:
    logits = LOGITS.clone().requires_grad_()
    loss = balancer.loss(routed(record, logits))
    loss.backward()
    return loss.detach(), logits.grad


@pytest.mark.parametrize(
    "balancer",
    [Switch(scope="batch"), Importance(), Importance(of="gates")],
    ids=["switch", "importance", "gates"],
)
def test_a_step_of_micro_batches_is_one_large_batch_in_value_and_gradient(record, balancer):
    assert balancer.needs_step
    step, batch = of_step(record, balancer), of_one_batch(record, balancer)
    torch.testing.assert_close(step[0], batch[0], rtol=1e-6, atol=0)  # loads are float32
    torch.testing.assert_close(step[1], batch[1], rtol=1e-6, atol=1e-9)


def test_micro_batch_scope_is_another_loss(record):
    balancer = Switch(scope="micro_batch")
    assert not balancer.needs_step
    micro, batch = of_step(record, balancer)[0], of_one_batch(record, balancer)[0]
    assert abs(micro - batch) > 1e-3


@pytest.mark.parametrize("balancer", [Switch(), Importance()], ids=["switch", "importance"])
def test_after_a_step_a_loss_is_of_its_own_batch_again(record, balancer):
    before = of_one_batch(record, balancer)[0]
    of_step(record, balancer)
    assert of_one_batch(record, balancer)[0] == before
