import pytest
import torch

from moe_lab.balancing.importance import Importance

PROBS = [[0.5, 0.4, 0.1], [0.3, 0.3, 0.4], [0.1, 0.2, 0.7], [0.8, 0.2, 0.0]]


def test_four_tokens_over_three_experts(record):
    # 4 P = [1.7, 1.1, 1.2]: mean 4/3, deviations [.3667, -.2333, -.1333]
    # population variance (.13444 + .05444 + .01778) / 3 = .068889; / (4/3)^2 = .03875
    # (the sample variance, / 2, would say .058125)
    loss = Importance().loss(record([[0], [2], [2], [0]], probs=PROBS))
    assert loss.item() == pytest.approx(0.03875, abs=1e-7)


@pytest.mark.parametrize("n_experts", [2, 4, 8])
def test_one_expert_with_all_probability_reads_e_minus_one(record, n_experts):
    certain = [[1.0] + [0.0] * (n_experts - 1)] * 6
    loss = Importance().loss(record([[0]] * 6, probs=certain))
    assert loss.item() == pytest.approx(n_experts - 1)


def test_it_reads_probabilities_and_never_the_choice(record):
    one, other = (record(chosen, probs=PROBS) for chosen in ([[0]] * 4, [[0], [1], [2], [1]]))
    assert Importance().loss(one) == Importance().loss(other)


def test_a_collapse_with_nearly_uniform_probabilities_reads_nearly_zero(record):
    # P = (.251, .2497, .2497, .2497) / 1.0001: deviations (.000975, -.000325 x 3), all load on expert 0.
    # variance (.000975^2 + 3 * .000325^2) / 4 = 3.17e-7; / .0625 = 5.07e-6
    routing = record([[0]] * 6, probs=[[0.251, 0.2497, 0.2497, 0.2497]] * 6)
    assert Importance().loss(routing).item() == pytest.approx(5.07e-6, rel=0.01)


def test_the_gradient_is_that_of_the_closed_form(record):
    # d loss / d z_tj = 2 E/T p_tj (P_j - sum_i P_i p_ti)
    n_tokens, n_experts = 7, 5
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(n_tokens, n_experts, generator=generator, dtype=torch.float64)
    Importance().loss(record([[0]] * n_tokens, logits=z.requires_grad_())).backward()
    p = z.detach().softmax(-1)
    importance = p.mean(0)
    expected = 2 * n_experts / n_tokens * p * (importance - (importance * p).sum(-1, keepdim=True))
    torch.testing.assert_close(z.grad, expected)


def test_the_gradient_at_balance_is_zero_and_not_undefined(record):
    z = torch.zeros(4, 4, requires_grad=True)
    loss = Importance().loss(record([[0]] * 4, logits=z))
    loss.backward()
    assert loss == 0
    assert (z.grad == 0).all()


def test_of_gates_it_sums_what_the_chosen_experts_were_weighed_by(record):
    # gates: token 0 to expert 0 with .5, token 1 to 2 with .4, token 2 to 2 with .7, token 3 to 0 with .8
    # I = [1.3, 0, 1.1], mean .8, deviations [.5, -.8, .3]; (.25 + .64 + .09) / 3 / .64 = .510417
    loss = Importance(of="gates").loss(record([[0], [2], [2], [0]], probs=PROBS))
    assert loss.item() == pytest.approx(0.510417, abs=1e-6)


def test_of_gates_an_expert_that_nobody_chose_gets_no_gradient(record):
    z = torch.tensor([[2.0, 1.0, 0.0]] * 3 + [[1.0, 2.0, 0.0]], requires_grad=True)
    routing = record([[0], [0], [0], [1]], logits=z)
    loss = Importance(of="gates").loss(routing)
    gates = torch.autograd.grad(loss, routing.gate)[0]
    # S = sum I: d loss / d I_i = 2 E (I_i - sum I^2 / S) / S^2, positive for the favourite alone
    assert (gates[:3] > 0).all()
    assert gates[3] < 0
