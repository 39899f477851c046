"""What every balancer promises."""

import pytest
import torch
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.registry import BALANCERS
from moe_lab.routing.base import Routing

LOGITS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

METHODS = {name: BALANCERS.load(name) for name in BALANCERS.names()}
WITH_LOSS = [name for name, method in METHODS.items() if method.has_loss]
DEFINED_BY_BALANCE = [name for name in WITH_LOSS if METHODS[name].balanced_loss is not None]


@pytest.fixture(params=METHODS)
def balancer(request: pytest.FixtureRequest) -> Balancer:
    method = METHODS[request.param]()
    method.allocate(4)
    return method


with_loss = pytest.mark.parametrize("balancer", WITH_LOSS, indirect=True)
defined_by_balance = pytest.mark.parametrize("balancer", DEFINED_BY_BALANCE, indirect=True)


def best(logits: Tensor, top_k: int) -> list[list[int]]:
    return logits.topk(top_k, dim=-1).indices.tolist()


@pytest.fixture
def routing(record) -> Routing:
    return record(best(LOGITS, 2), logits=LOGITS.clone().requires_grad_())


@with_loss
def test_the_loss_is_a_finite_scalar_that_reaches_the_router(balancer, routing):
    loss = balancer.loss(routing)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    grad = routing.router_logits.grad
    assert grad.isfinite().all()
    assert grad.norm() > 0


@defined_by_balance
@pytest.mark.parametrize("top_k", [1, 2])
def test_balanced_routing_reads_the_stated_value_for_every_k(balancer, record, top_k):
    # Token t prefers experts t, t + 1, ...: each expert is wanted by as many tokens in each place.
    logits = torch.stack([torch.tensor([2.0, 1.0, 0.0, -1.0]).roll(t) for t in range(8)])
    loss = balancer.loss(record(best(logits, top_k), logits=logits))
    torch.testing.assert_close(loss, torch.tensor(balancer.balanced_loss), atol=1e-6, rtol=0)


@defined_by_balance
@pytest.mark.parametrize("top_k", [1, 2])
def test_imbalance_reads_another_value(balancer, record, top_k):
    logits = torch.tensor([[3.0, 1.0, 0.0, -1.0]] * 8)
    loss = balancer.loss(record(best(logits, top_k), logits=logits))
    assert loss > balancer.balanced_loss + 0.1


@with_loss
def test_the_order_of_experts_does_not_matter(balancer, record, routing):
    order = torch.tensor([2, 0, 3, 1])
    renamed = LOGITS[:, order]
    other = record(best(renamed, 2), logits=renamed)
    torch.testing.assert_close(balancer.loss(other), balancer.loss(routing).detach())


@with_loss
def test_the_order_and_number_of_tokens_do_not_matter(balancer, record, routing):
    again = torch.cat([LOGITS.flip(0)] * 3)
    other = record(best(again, 2), logits=again)
    torch.testing.assert_close(balancer.loss(other), balancer.loss(routing).detach())


@with_loss
def test_drops_do_not_change_the_loss(balancer, record, routing):
    dropped = record(best(LOGITS, 2), logits=LOGITS, kept=[False] * 24)
    torch.testing.assert_close(balancer.loss(dropped), balancer.loss(routing).detach())


@defined_by_balance
def test_the_favourite_expert_is_pushed_down(balancer, record):
    logits = torch.tensor([[1.5, 0.0, -0.5, 0.2]] * 6, requires_grad=True)
    balancer.loss(record([[0]] * 6, logits=logits)).backward()
    assert (logits.grad[:, 0] > 0).all()
    assert (logits.grad[:, 1:] < 0).all()


def test_every_hook_may_be_called_at_every_step(balancer, routing):
    loss, bias = balancer.loss(routing), balancer.selection_bias()
    assert (loss is None) == (not balancer.has_loss)
    assert bias is None or (bias.shape == (4,) and not bias.requires_grad)
    if balancer.pools:
        pooled = balancer.statistic(routing)
        torch.testing.assert_close(balancer.loss(routing, pooled.double()), loss)
    balancer.after_step(torch.tensor([9, 1, 0, 2]))
