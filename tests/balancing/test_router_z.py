import math

import pytest
import torch

from moe_lab.balancing.importance import Importance
from moe_lab.balancing.router_z import RouterZ
from moe_lab.balancing.switch import Switch


@pytest.mark.parametrize("n_experts", [2, 4, 8])
def test_zero_logits_read_the_squared_logarithm_of_e(record, n_experts):
    routing = record([[0]] * 5, logits=torch.zeros(5, n_experts))
    assert RouterZ().loss(routing).item() == pytest.approx(math.log(n_experts) ** 2)


def test_zero_logits_of_four_experts(record):
    # ln 4 = 1.386294; squared 1.9218
    loss = RouterZ().loss(record([[0]], logits=torch.zeros(1, 4)))
    assert loss.item() == pytest.approx(1.9218, abs=5e-5)


def test_it_is_the_mean_of_squares_and_not_the_square_of_the_mean(record):
    # Tokens of log-sum-exp 0 and ln 4 + 2: (0 + 3.3863^2) / 2 = 5.7335; the other way round 2.867
    logits = torch.stack([torch.full((4,), -math.log(4)), torch.full((4,), 2.0)])
    loss = RouterZ().loss(record([[0], [1]], logits=logits))
    assert loss.item() == pytest.approx(5.7335, abs=5e-5)


def test_it_sees_the_size_of_logits_that_balancers_cannot(record):
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    small, large = (record([[0], [1], [2]] * 3, logits=z) for z in (logits, logits + 10))
    for blind in (Switch(), Importance()):
        torch.testing.assert_close(blind.loss(small), blind.loss(large))
    assert RouterZ().loss(large) > 10 * RouterZ().loss(small)


def test_it_does_not_balance(record):
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    collapsed, spread = record([[0]] * 9, logits=logits), record([[0], [1], [2]] * 3, logits=logits)
    assert RouterZ().loss(collapsed) == RouterZ().loss(spread)
    assert RouterZ.balanced_loss is None
