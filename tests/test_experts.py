import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moe_lab.experts import Experts, grouped, grouped_product, looped_product
from moe_lab.routing.base import Routing

D_MODEL, D_EXPERT = 8, 24


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def build(n_experts: int) -> Experts:
    experts = Experts(n_experts, D_MODEL, D_EXPERT)
    with torch.no_grad():
        for seed, parameter in enumerate(experts.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed) / 3)
    return experts


def feed_forward(x: Tensor, experts: Experts, expert: int) -> Tensor:
    return F.gelu(x @ experts.w_in[expert]) @ experts.w_out[expert]


def test_kept_assignments_are_grouped_by_expert_in_order_of_position(record):
    kept = [True, True, True, False, True, True]
    routing = record([[2], [0], [2], [0], [3], [0]], n_experts=5, kept=kept)
    rows, ends = grouped(routing)
    # Expert 0 gets tokens 1 and 5 (3 was dropped), 1 none, 2 tokens 0 and 2, 3 token 4, 4 none.
    assert rows.tolist() == [1, 5, 0, 2, 4]
    assert ends.tolist() == [2, 2, 4, 5, 5]
    assert ends.dtype == torch.int32  # the grouped product takes no other


def test_one_expert_is_a_plain_feed_forward(record):
    experts, x = build(1), normal(13, D_MODEL)
    output = experts(x, record([[0]] * 13, n_experts=1))
    torch.testing.assert_close(output, feed_forward(x, experts, 0))


def test_the_activation_is_the_exact_gelu(record):
    # gelu(-1) = -1 * Phi(-1) = -.158655; the tanh approximation would say -.158808.
    experts = build(1)
    torch.nn.init.constant_(experts.w_in, -1 / D_MODEL)
    torch.nn.init.constant_(experts.w_out, 1 / D_EXPERT)
    output = experts(torch.ones(1, D_MODEL), record([[0]], n_experts=1))
    torch.testing.assert_close(output, torch.full((1, D_MODEL), -0.158655), atol=2e-6, rtol=0)


def test_equal_experts_that_are_all_used_are_a_plain_feed_forward(record):
    # With k = E the gates are all probabilities and sum to 1.
    experts, x = build(3), normal(13, D_MODEL)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter).clone())
    output = experts(x, record([[2, 0, 1]] * 13, logits=normal(13, 3)))
    torch.testing.assert_close(output, feed_forward(x, experts, 0))


def test_the_output_is_weighed_by_the_gates(record):
    experts, x = build(2), normal(1, D_MODEL)
    output = experts(x, record([[1, 0]], probs=[[0.3, 0.7]]))
    expected = 0.3 * feed_forward(x, experts, 0) + 0.7 * feed_forward(x, experts, 1)
    torch.testing.assert_close(output, expected)


def test_a_token_that_lost_all_its_assignments_gets_exactly_zero(record):
    kept = [True, True, False, False, True, False]
    experts, x = build(5), normal(3, D_MODEL).requires_grad_()
    output = experts(x, record([[0, 1], [0, 1], [0, 1]], n_experts=5, kept=kept))
    assert (output[1] == 0).all()
    assert (output[[0, 2]] != 0).any(dim=1).all()
    torch.testing.assert_close(output[2], feed_forward(x[2], experts, 0) / 5)
    output.sum().backward()
    assert (x.grad[1] == 0).all()


def test_experts_without_tokens_get_a_gradient_of_exactly_zero(record):
    experts, x = build(5), normal(13, D_MODEL)
    experts(x, record([[1], [3]] * 6 + [[3]], n_experts=5)).square().sum().backward()
    for parameter in experts.parameters():
        used = (parameter.grad != 0).flatten(1).any(1)
        assert used.tolist() == [False, True, False, True, False]


@pytest.mark.parametrize("expert", [0, 2, 4])
def test_all_tokens_may_go_to_one_expert(record, expert):
    experts, x = build(5), normal(13, D_MODEL)
    output = experts(x, record([[expert]] * 13, n_experts=5))
    torch.testing.assert_close(output, feed_forward(x, experts, expert) / 5)


def test_a_bare_sum_can_be_differentiated(record):
    # Its gradient is one number seen at every place, which the grouped product refuses to take as it is.
    experts, x = build(3), normal(4, D_MODEL).requires_grad_()
    experts(x, record([[0], [1], [1], [0]], n_experts=3)).sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad != 0).any()


def test_what_other_tokens_do_does_not_change_a_tokens_output(record):
    experts, x = build(3), normal(6, D_MODEL)
    alone = experts(x[:1], record([[1]], n_experts=3))
    together = experts(x, record([[1], [1], [0], [2], [1], [1]], n_experts=3))
    torch.testing.assert_close(together[:1], alone)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_every_assignment_by_itself_gives_the_same_gradients_included(record, top_k):
    # The oracle knows no sorting: token by token, choice by choice, every fifth one dropped.
    chosen = normal(13, 5).topk(top_k).indices
    kept = [i % 5 != 3 for i in range(13 * top_k)]

    def slow(experts: Experts, x: Tensor, routing: Routing) -> Tensor:
        output = torch.zeros(13, D_MODEL)
        for i in range(13 * top_k):
            if kept[i]:
                token, expert = i // top_k, int(routing.expert[i])
                output[token] += routing.gate[i] * feed_forward(x[token], experts, expert)
        return output

    def outcome(compute) -> list[Tensor]:
        experts, x = build(5), normal(13, D_MODEL).requires_grad_()
        logits = normal(13, 5, seed=3).requires_grad_()
        routing = record(chosen.tolist(), logits=logits, kept=kept)
        (output := compute(experts, x, routing)).backward(normal(13, D_MODEL, seed=2))
        return [output, x.grad, logits.grad, *(p.grad for p in experts.parameters())]

    for found, expected in zip(outcome(Experts.__call__), outcome(slow), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("ends", [[0, 3, 3, 9, 13], [13, 13, 13, 13, 13], [2, 5, 9, 13, 13]])
def test_the_grouped_product_and_the_loop_agree_gradients_included(ends):
    def outcome(product) -> list[Tensor]:
        x, weights = normal(13, D_MODEL).requires_grad_(), normal(5, D_MODEL, D_EXPERT, seed=1)
        output = product(x, weights.requires_grad_(), torch.tensor(ends, dtype=torch.int32))
        (output * normal(13, D_EXPERT, seed=2)).sum().backward()
        return [output, x.grad, weights.grad]

    for found, expected in zip(outcome(grouped_product), outcome(looped_product), strict=True):
        torch.testing.assert_close(found, expected)
