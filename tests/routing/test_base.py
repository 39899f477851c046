import math

import pytest
import torch


def test_a_record_counts_assignments_before_capacity(record):
    routing = record([[0, 2], [2, 1], [0, 2]], n_experts=4, kept=[True, False] * 3)
    assert (routing.n_experts, routing.top_k) == (4, 2)
    assert routing.counts().tolist() == [2, 1, 3, 0]
    assert routing.load().tolist() == pytest.approx([2 / 6, 1 / 6, 3 / 6, 0])
    assert routing.dropped() == 3


def test_importance_is_the_mean_probability_and_can_be_learned_from(record):
    logits = torch.tensor([[0.2, 0.8], [0.6, 0.4]]).log().requires_grad_()
    routing = record([[1], [0]], logits=logits)
    torch.testing.assert_close(routing.importance(), torch.tensor([0.4, 0.6]))
    assert routing.importance().requires_grad
    assert not routing.load().requires_grad


def test_entropy_of_a_token_is_zero_to_ln_e(record):
    routing = record([[0], [0], [0]], probs=[[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(
        routing.entropy(), torch.tensor([0, math.log(2), math.log(3)]), atol=1e-6, rtol=0
    )


def test_the_margin_is_between_the_last_chosen_and_the_first_rejected_logit(record):
    logits = torch.tensor([[5.0, 1.0, 4.0, 3.5], [0.0, 0.0, 0.0, 2.0]])
    assert record([[0], [3]], logits=logits).margin().tolist() == [1.0, 2.0]
    assert record([[0, 2], [3, 0]], logits=logits).margin().tolist() == [0.5, 0.0]
    assert record([[0, 1, 2, 3]] * 2, logits=logits).margin() is None
