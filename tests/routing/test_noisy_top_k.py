import math

import pytest
import torch
from torch import Tensor

from moe_lab.routing.noisy_top_k import NoisyTopK
from moe_lab.streams import Stream

STREAM = Stream(0, (1, 0, 0))


def identity_router(n_experts: int, top_k: int, noise_weight: Tensor | None = None) -> NoisyTopK:
    """Clean logits are the inputs themselves."""
    router = NoisyTopK(n_experts, n_experts, top_k)
    with torch.no_grad():
        router.weight.copy_(torch.eye(n_experts))
        router.noise_weight.copy_(
            torch.zeros(n_experts, n_experts) if noise_weight is None else noise_weight
        )
    return router


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_choice_and_gates_are_those_of_the_definition(top_k):
    n_tokens, n_experts = 23, 5
    router = identity_router(n_experts, top_k, normal(n_experts, n_experts))
    x = normal(n_tokens, n_experts)
    routing = router(x, STREAM)
    noise = STREAM.normal("router_noise", (n_tokens, n_experts))
    for t in range(n_tokens):
        rows = router.noise_weight.detach()
        scale = [math.log1p(math.exp(row @ x[t])) for row in rows]
        h = [x[t, i].item() + noise[t, i].item() * scale[i] for i in range(n_experts)]
        chosen = set(sorted(range(n_experts), key=lambda i, h=h: -h[i])[:top_k])
        total = sum(math.exp(h[i]) for i in chosen)
        own = routing.token == t
        assert set(routing.expert[own].tolist()) == chosen
        for expert, gate in zip(routing.expert[own].tolist(), routing.gate[own], strict=True):
            assert gate.item() == pytest.approx(math.exp(h[expert]) / total, rel=1e-5)


def test_probabilities_and_logits_are_clean():
    x = normal(23, 4)
    routing = identity_router(4, 2)(x, STREAM)
    assert torch.equal(routing.router_logits, x)
    torch.testing.assert_close(routing.router_probs, x.softmax(-1))
    clean = routing.router_probs.gather(1, routing.expert.view(23, 2))
    assert not torch.allclose(routing.gate.view(23, 2), clean / clean.sum(-1, keepdim=True))


def test_evaluation_has_no_noise():
    x, router = normal(200, 4), identity_router(4, 2, normal(4, 4)).eval()
    routing = router(x, STREAM)
    assert torch.equal(routing.expert.view(200, 2), x.topk(2).indices)
    torch.testing.assert_close(routing.gate.view(200, 2), x.topk(2).values.softmax(-1))


def test_noise_starts_with_scale_ln_2():
    router, x = identity_router(4, 2), normal(20_000, 4)
    noise = router.noisy_logits(x, x, STREAM) - x
    # Standard error of a standard deviation over 80,000 draws: .693 / sqrt(160,000) = .00173
    assert abs(noise.std().item() - math.log(2)) < 5 * 0.00173
    assert abs(noise.mean().item()) < 5 * 0.693 / 80_000**0.5


def test_the_task_teaches_both_matrices():
    router = identity_router(4, 2)
    (router(normal(23, 4), STREAM).gate * normal(46)).sum().backward()
    assert router.weight.grad.norm() > 0.1
    assert router.noise_weight.grad.norm() > 0.1


def test_at_k_one_the_task_teaches_nothing():
    router = identity_router(4, 1)
    (router(normal(23, 4), STREAM).gate * normal(23)).sum().backward()
    assert router.weight.grad.norm() == router.noise_weight.grad.norm() == 0


def test_a_zero_router_ties_in_evaluation_alone():
    router, x = identity_router(4, 2), torch.zeros(64, 4)
    assert router(x, STREAM).ties == 0
    assert router.eval()(x, STREAM).ties == 64
