import pytest
import torch

from moe_lab.balancing.loss_free import LossFree


def allocated(**options: object) -> LossFree:
    balancer = LossFree(**options)
    balancer.allocate(4)
    return balancer


def test_by_sign_each_expert_moves_by_the_speed():
    # mean 3: 6 and 5 have too many, 0 and 1 too few
    balancer = allocated(speed=0.01)
    balancer.after_step(torch.tensor([6, 0, 1, 5]))
    assert balancer.selection_bias().tolist() == pytest.approx([-0.01, 0.01, 0.01, -0.01])


def test_an_expert_with_its_fair_share_stays():
    balancer = allocated(speed=0.01)
    balancer.after_step(torch.tensor([3, 3, 1, 5]))
    assert balancer.selection_bias().tolist() == pytest.approx([0, 0, 0.01, -0.01])


def test_in_proportion_each_expert_moves_by_its_violation():
    # 1 - n / 3 = 1 - [2, 0, 1/3, 5/3]
    balancer = allocated(speed=0.1, rule="proportional")
    balancer.after_step(torch.tensor([6, 0, 1, 5]))
    assert balancer.selection_bias().tolist() == pytest.approx([-0.1, 0.1, 0.2 / 3, -0.2 / 3])


def test_proportional_moves_do_not_depend_on_the_size_of_the_batch():
    few, many = allocated(rule="proportional"), allocated(rule="proportional")
    few.after_step(torch.tensor([6, 0, 1, 5]))
    many.after_step(100 * torch.tensor([6, 0, 1, 5]))
    torch.testing.assert_close(few.bias, many.bias)


def test_steps_add_up():
    balancer = allocated(speed=0.5)
    for _ in range(3):
        balancer.after_step(torch.tensor([4, 0, 2, 2]))
    assert balancer.selection_bias().tolist() == [-1.5, 1.5, 0, 0]


def test_the_bias_is_state_and_has_no_gradient():
    balancer = allocated()
    assert list(balancer.state_dict()) == ["bias"]
    assert list(balancer.parameters()) == []
    assert not balancer.selection_bias().requires_grad


def test_there_is_no_loss_to_weigh(record):
    assert not LossFree.has_loss
    assert allocated().loss(record([[0], [1]], n_experts=4)) is None
