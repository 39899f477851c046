"""What every router promises."""

import pytest
import torch
from torch import Tensor

from moe_lab.registry import ROUTERS
from moe_lab.routing.base import Router, Routing
from moe_lab.streams import Stream

D_MODEL, STREAM = 8, Stream(0, (1, 0, 0))
SIZES = [(5, 1), (5, 2), (3, 3)]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def build(name: str, n_experts: int, top_k: int, **settings: object) -> Router:
    router = ROUTERS.load(name)(D_MODEL, n_experts, top_k, **settings)
    with torch.no_grad():
        router.weight.copy_(normal(n_experts, D_MODEL))
    return router


@pytest.fixture(params=ROUTERS.names())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def route(name: str, n_experts: int, top_k: int, n_tokens: int = 13) -> Routing:
    return build(name, n_experts, top_k)(normal(n_tokens, D_MODEL), STREAM)


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_each_token_has_k_different_experts_in_token_major_order(name, n_experts, top_k):
    routing = route(name, n_experts, top_k)
    assert routing.router_logits.shape == routing.router_probs.shape == (13, n_experts)
    assert routing.token.tolist() == [t for t in range(13) for _ in range(top_k)]
    experts = routing.expert.view(13, top_k).tolist()
    assert all(len(set(row)) == top_k for row in experts)
    assert (routing.n_experts, routing.top_k) == (n_experts, top_k)
    assert routing.counts().sum() == 13 * top_k
    assert routing.kept.all()


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_load_and_importance_sum_to_one_for_every_k(name, n_experts, top_k):
    routing = route(name, n_experts, top_k)
    torch.testing.assert_close(routing.load().sum(), torch.tensor(1.0))
    torch.testing.assert_close(routing.importance().sum(), torch.tensor(1.0))
    torch.testing.assert_close(routing.router_probs.sum(-1), torch.ones(13))


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_gates_lie_between_zero_and_one(name, n_experts, top_k):
    routing = route(name, n_experts, top_k)
    assert routing.gate.shape == (13 * top_k,)
    assert ((routing.gate > 0) & (routing.gate <= 1)).all()


def test_the_same_place_gives_the_same_routing(name):
    router = build(name, 5, 2, noise=1.0)
    first, again = (router(normal(13, D_MODEL), STREAM) for _ in range(2))
    for field in vars(first):
        assert torch.equal(getattr(first, field), getattr(again, field))


def test_a_bias_picks_experts_and_never_weighs_them(name):
    # It adds expert 4 to every token's choice: one that removed an expert would hide a leak into the gates.
    router, x = build(name, 5, 1), normal(13, D_MODEL)
    clean = router(x, STREAM)
    biased = router(x, STREAM, torch.tensor([0.0, 0.0, 0.0, 0.0, 100.0]))
    assert (clean.expert != 4).any()
    assert (biased.expert == 4).all()
    assert torch.equal(biased.router_probs, clean.router_probs)
    assert torch.equal(biased.router_logits, clean.router_logits)
    torch.testing.assert_close(biased.gate, clean.router_probs[:, 4])


def test_the_router_computes_in_float32_under_autocast(name):
    router = build(name, 5, 2)
    x = normal(13, D_MODEL).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        routing = router(x, STREAM)
    assert routing.router_logits.dtype == routing.router_probs.dtype == torch.float32
    torch.testing.assert_close(routing.router_logits, router(x.float(), STREAM).router_logits)


def test_a_bias_of_the_router_itself_is_learned(name):
    router = build(name, 5, 2, biased=True)
    with torch.no_grad():
        router.bias.copy_(torch.tensor([100.0, 0, 0, 0, 0]))
    routing = router(normal(13, D_MODEL), STREAM)
    assert routing.counts()[0] == 13
    routing.gate.sum().backward()
    assert router.bias.grad is not None
    assert build(name, 5, 2).bias is None


def test_the_task_reaches_the_router_through_the_gates(name):
    router = build(name, 5, 2)
    (router(normal(13, D_MODEL), STREAM).gate * normal(26)).sum().backward()
    assert router.weight.grad.norm() > 1e-2
