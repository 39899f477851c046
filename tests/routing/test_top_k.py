import pytest
import torch
from torch import Tensor

from moe_lab.routing.top_k import TopK
from moe_lab.streams import Stream

STREAM = Stream(0, (1, 0, 0))


def identity_router(n_experts: int, top_k: int, **settings: object) -> TopK:
    """Logits are the inputs themselves."""
    router = TopK(n_experts, n_experts, top_k, **settings)
    with torch.no_grad():
        router.weight.copy_(torch.eye(n_experts))
    return router


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_gates_are_probabilities_over_all_experts():
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]).log()
    routing = identity_router(3, 2)(logits, STREAM)
    assert routing.expert.tolist() == [0, 1, 2, 1]
    torch.testing.assert_close(routing.gate, torch.tensor([0.5, 0.3, 0.7, 0.2]))


def test_renormalised_gates_sum_to_one():
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]).log()
    routing = identity_router(3, 2, renormalize=True)(logits, STREAM)
    torch.testing.assert_close(routing.gate, torch.tensor([5 / 8, 3 / 8, 7 / 9, 2 / 9]))
    torch.testing.assert_close(routing.router_probs, logits.exp())  # P stays over all experts


@pytest.mark.parametrize("renormalize", [False, True])
def test_with_k_equal_to_e_every_expert_is_used_with_its_probability(renormalize):
    routing = identity_router(4, 4, renormalize=renormalize)(normal(6, 4), STREAM)
    assert routing.expert.tolist() == [0, 1, 2, 3] * 6
    torch.testing.assert_close(routing.gate.view(6, 4), routing.router_probs)
    assert routing.ties == 0


def task_gradient(**settings: object) -> Tensor:
    """Gradient on the router of a task that likes some tokens' gates and dislikes others'."""
    router = identity_router(4, 1, **settings)
    (router(normal(13, 4), STREAM).gate * normal(13)).sum().backward()
    return router.weight.grad


def test_at_k_one_the_task_reaches_the_router_only_without_renormalisation():
    # p / p = 1 whatever p is: the derivative is zero, in floating point up to rounding.
    assert task_gradient().norm() > 0.1
    assert task_gradient(renormalize=True).norm() < 1e-6


def test_noise_changes_the_choice_and_neither_gates_nor_probabilities():
    x, clean = normal(200, 4), identity_router(4, 1)
    noisy = identity_router(4, 1, noise=2.0)
    calm, shaken = clean(x, STREAM), noisy(x, STREAM)
    assert 0.1 < (calm.expert != shaken.expert).double().mean() < 0.9
    assert torch.equal(calm.router_logits, shaken.router_logits)
    assert torch.equal(calm.router_probs, shaken.router_probs)
    assert torch.equal(shaken.gate, shaken.router_probs[shaken.token, shaken.expert])


def test_there_is_no_noise_in_evaluation():
    x, noisy = normal(200, 4), identity_router(4, 1, noise=2.0).eval()
    assert torch.equal(noisy(x, STREAM).expert, x.argmax(-1))


def test_noise_has_the_scale_that_was_asked_for_and_is_drawn_by_place():
    router, logits = identity_router(4, 1, noise=0.7), normal(20_000, 4)
    noise = router.selection_logits(logits, STREAM) - logits
    # Standard error of a standard deviation over 80,000 draws: .7 / sqrt(160,000) = .00175
    assert abs(noise.std() - 0.7) < 5 * 0.00175
    assert abs(noise.mean()) < 5 * 0.7 / 80_000**0.5
    assert torch.equal(router.selection_logits(logits, STREAM) - logits, noise)
    other = router.selection_logits(logits, STREAM.at(1)) - logits
    assert abs(torch.corrcoef(torch.stack([noise.flatten(), other.flatten()]))[0, 1]) < 0.02


def test_the_choice_passes_no_gradient():
    logits = normal(5, 4).requires_grad_()
    assert not identity_router(4, 1, noise=1.0).selection_logits(logits, STREAM).requires_grad


@pytest.mark.parametrize("top_k", [1, 2])
def test_a_zero_router_ties_on_every_token_and_loads_evenly(top_k):
    router, n_tokens = TopK(4, 8, top_k), 4096
    torch.nn.init.zeros_(router.weight)
    routing = router(normal(n_tokens, 4), STREAM)
    assert routing.ties == n_tokens
    # load 1/8 +- sqrt((8 - k) / k / 4096) / 8, at most .0052
    assert (routing.load() - 1 / 8).abs().max() < 5 * 0.0052
    elsewhere = router(normal(n_tokens, 4), STREAM.at(1))
    assert not torch.equal(routing.expert, elsewhere.expert)


def test_a_bias_can_make_and_break_ties():
    router = identity_router(3, 1)
    x = torch.tensor([[0.0, 0.0, -1.0]] * 40)
    assert router(x, STREAM).ties == 40
    assert router(x, STREAM, torch.tensor([1.0, 0.0, 0.0])).ties == 0
    tied = router(x, STREAM, torch.tensor([0.0, -1.0, 1.0]))
    assert tied.ties == 40
    assert set(tied.expert.tolist()) == {0, 2}
