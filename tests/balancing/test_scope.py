"""Losses over several micro-batches and ranks, against the same tokens in one large batch."""

import pytest
import torch
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.balancing.importance import Importance
from moe_lab.balancing.switch import Switch

PARTS, E, TOP_K = (11, 4, 18), 5, 2  # tokens of each rank or micro-batch: no two alike
LOGITS = torch.randn(sum(PARTS), E, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def routed(record, logits: Tensor):
    """Some experts are everybody's favourites, so that parts differ."""
    return record(logits.detach().topk(TOP_K, dim=-1).indices.tolist(), logits=logits)


def of_parts(record, balancer: Balancer) -> tuple[Tensor, Tensor]:
    """The loss of every part, each weighing as much as its share of the tokens, and its gradient."""
    logits = LOGITS.clone().requires_grad_()
    routings = [routed(record, part) for part in logits.split(PARTS)]
    shares = [n / sum(PARTS) for n in PARTS]
    pooled = None
    if balancer.pools:
        weighed = zip(shares, routings, strict=True)
        with torch.no_grad():
            pooled = sum(share * balancer.statistic(routing).double() for share, routing in weighed)
    losses = [s * balancer.loss(r, pooled) for s, r in zip(shares, routings, strict=True)]
    loss = torch.stack(losses).sum()
    loss.backward()
    return loss.detach(), logits.grad


def of_one_batch(record, balancer: Balancer) -> tuple[Tensor, Tensor]:
    logits = LOGITS.clone().requires_grad_()
    loss = balancer.loss(routed(record, logits))
    loss.backward()
    return loss.detach(), logits.grad


@pytest.mark.parametrize(
    "balancer",
    [Switch(scope="batch"), Switch(scope="global"), Importance(), Importance(of="gates")],
    ids=["batch", "global", "importance", "gates"],
)
def test_parts_of_a_batch_are_one_large_batch_in_value_and_gradient(record, balancer):
    parts, batch = of_parts(record, balancer), of_one_batch(record, balancer)
    torch.testing.assert_close(parts[0], batch[0], rtol=1e-6, atol=0)  # loads are float32
    torch.testing.assert_close(parts[1], batch[1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "balancer",
    [Switch(), Importance(), Importance(of="gates")],
    ids=["switch", "importance", "gates"],
)
def test_the_loss_of_a_step_follows_from_its_statistic(record, balancer):
    whole = routed(record, LOGITS)
    found = balancer.step_loss(balancer.statistic(whole))
    torch.testing.assert_close(found, balancer.loss(whole))


def test_micro_batch_scope_is_another_loss(record):
    balancer = Switch(scope="micro_batch")
    assert balancer.pools is None
    micro, batch = of_parts(record, balancer)[0], of_one_batch(record, balancer)[0]
    assert abs(micro - batch) > 1e-3


@pytest.mark.parametrize("scope", ["batch", "global"])
def test_ranks_that_keep_to_one_expert_each_read_e_alone_and_one_pooled(record, scope):
    # Rank 0 has f = P = (1, 0), rank 1 (0, 1): alone each reads 2 * 1 = 2. Pooled f is (1/2, 1/2): 2 * 1/2 = 1.
    ranks = [record([[i]] * 3, probs=[[1.0 - i, 0.0 + i]] * 3) for i in (0, 1)]
    balancer = Switch(scope=scope)
    pooled = sum(balancer.statistic(routing) for routing in ranks) / 2
    assert [Switch(scope="micro_batch").loss(routing) for routing in ranks] == [2, 2]
    assert [balancer.loss(routing, pooled) for routing in ranks] == [1, 1]


def test_pooled_p_stays_each_ranks_own(record):
    # f = (1/2, 1/2, 0) pooled; P = (.6, .3, .1) here: 3 * (.3 + .15) = 1.35, whatever P is elsewhere
    here, there = (
        record([[i]] * 2, probs=[p] * 2) for i, p in ((0, [0.6, 0.3, 0.1]), (1, [0.1, 0.1, 0.8]))
    )
    pooled = (Switch().statistic(here) + Switch().statistic(there)) / 2
    assert Switch().loss(here, pooled).item() == pytest.approx(1.35)
