from dataclasses import replace

import pytest
import torch
from torch import Tensor

from moe_lab.routing.base import Routing
from moe_lab.routing.top_k import TopK

from .conftest import STREAM, identity_router, normal


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


def test_sigmoid_gates_are_the_experts_own_scores():
    # Scores 3/4, 1/2, 1/4; P is over their sum 3/2.
    logits = torch.tensor([[3.0, 1.0, 1 / 3]]).log()
    routing = identity_router(3, 2, score="sigmoid")(logits, STREAM)
    assert routing.expert.tolist() == [0, 1]
    torch.testing.assert_close(routing.gate, torch.tensor([3 / 4, 1 / 2]))
    torch.testing.assert_close(routing.router_probs, torch.tensor([[1 / 2, 1 / 3, 1 / 6]]))


def test_renormalised_sigmoid_gates_are_over_the_chosen():
    logits = torch.tensor([[3.0, 1.0, 1 / 3]]).log()
    routing = identity_router(3, 2, score="sigmoid", renormalize=True)(logits, STREAM)
    torch.testing.assert_close(routing.gate, torch.tensor([3 / 5, 2 / 5]))
    torch.testing.assert_close(routing.router_probs, torch.tensor([[1 / 2, 1 / 3, 1 / 6]]))


def test_renormalised_softmax_gates_are_the_softmax_of_the_chosen_logits():
    logits = normal(31, 6)
    routing = identity_router(6, 3, renormalize=True)(logits, STREAM)
    expected = logits.gather(1, routing.expert.view(31, 3)).softmax(-1)
    torch.testing.assert_close(routing.gate.view(31, 3), expected)


def test_scores_that_underflow_give_finite_gates_and_gradients():
    for score in ("softmax", "sigmoid"):
        router = identity_router(3, 2, score=score, renormalize=True)
        x = (
            torch.tensor([[0.0, -300.0, -300.0]])
            if score == "softmax"
            else torch.full((1, 3), -300.0)
        )
        routing = router(x, STREAM, torch.tensor([0.0, 2.0, 2.0]))
        routing.gate.sum().backward()
        assert routing.gate.tolist() == [0, 0]
        assert router.weight.grad.isfinite().all()


def dropped(routing: Routing, kept: list[bool]) -> Routing:
    return replace(routing, kept=torch.tensor(kept))


def test_gates_can_be_renormalised_over_what_was_kept():
    # The first token keeps both, 5/8 and 3/8; the second its second choice alone; the third nothing.
    router = identity_router(3, 2, renormalize=True, renormalize_over="kept")
    routing = router(torch.tensor([[0.5, 0.3, 0.2]] * 3).log(), STREAM)
    weighed = router.weigh_kept(dropped(routing, [True, True, False, True, False, False]))
    torch.testing.assert_close(weighed.gate, torch.tensor([5 / 8, 3 / 8, 0, 1, 0, 0]))
    (weighed.gate * normal(6)).sum().backward()
    assert router.weight.grad.isfinite().all()
    assert router.weight.grad.norm() > 0.01  # by the first token


@pytest.mark.parametrize("settings", [{}, {"renormalize": True}])
def test_gates_over_the_chosen_do_not_know_what_was_dropped(settings):
    router = identity_router(3, 2, **settings)
    routing = dropped(router(normal(2, 3), STREAM), [True, False, False, True])
    assert router.weigh_kept(routing) is routing


def test_with_nothing_dropped_kept_and_chosen_gates_are_equal():
    routing = identity_router(4, 2, renormalize=True)(normal(9, 4), STREAM)
    router = identity_router(4, 2, renormalize=True, renormalize_over="kept")
    torch.testing.assert_close(router.weigh_kept(router(normal(9, 4), STREAM)).gate, routing.gate)


def test_in_bfloat16_close_logits_tie_and_are_drawn():
    # bfloat16 has 8 bits: between 1 and 2 its numbers are 1/128 apart.
    x = torch.tensor([[1.0, 1.001, 0.0]] * 400)
    exact = identity_router(3, 1)(x, STREAM)
    coarse = identity_router(3, 1, precision="bfloat16")(x, STREAM)
    assert (exact.ties, coarse.ties) == (0, 400)
    assert exact.counts().tolist() == [0, 400, 0]
    assert (coarse.counts()[:2] - 200).abs().max() < 5 * 10  # sqrt(400 / 4) = 10
    assert coarse.router_logits.dtype == coarse.gate.dtype == torch.float32


def test_the_product_in_bfloat16_is_that_of_rounded_factors():
    router = TopK(8, 5, 2, biased=True, precision="bfloat16")
    with torch.no_grad():
        router.weight.copy_(normal(5, 8))
        router.bias.copy_(normal(5))
    x = normal(13, 8)
    rounded = [t.bfloat16().double() for t in (x, router.weight, router.bias)]
    expected = rounded[0] @ rounded[1].T + rounded[2]
    found = router(x, STREAM).router_logits
    # Half a unit of 8 bits, twice: after the sum and after the bias
    torch.testing.assert_close(found.double(), expected, rtol=2 * 2**-8, atol=0.05)
    assert torch.equal(found, found.bfloat16().float())
