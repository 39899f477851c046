import math

import pytest
import torch

from moe_lab.routing.base import choose, drop_over_capacity
from moe_lab.streams import Stream

STREAM = Stream(0, (1, 0, 0))


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


def test_the_largest_scores_are_chosen():
    scores = torch.tensor([[1.0, 4.0, 3.0, 2.0], [0.0, -1.0, -3.0, -2.0]])
    chosen, ties = choose(scores, 2, STREAM)
    assert [set(row) for row in chosen.tolist()] == [{1, 2}, {0, 1}]
    assert ties == 0
    chosen, ties = choose(scores, 4, STREAM)
    assert chosen.tolist() == [[0, 1, 2, 3]] * 2
    assert ties == 0


@pytest.mark.parametrize(
    ("scores", "top_k", "tied"),
    [
        ([3.0, 3.0, 1.0, 0.0], 1, True),
        ([3.0, 3.0, 1.0, 0.0], 2, False),  # both are chosen
        ([3.0, 1.0, 1.0, 0.0], 2, True),
        ([3.0, 2.0, 1.0, 1.0], 2, False),  # both are rejected
        ([3.0, 2.0, 1.0, 1.0], 3, True),
        ([1.0, 1.0, 1.0, 1.0], 4, False),
    ],
)
def test_only_a_tie_at_the_border_of_the_choice_counts(scores, top_k, tied):
    _, ties = choose(torch.tensor([scores, [4.0, 3.0, 2.0, 1.0]]), top_k, STREAM)
    assert ties == tied


def test_a_tie_is_drawn_among_the_tied_alone():
    n_tokens = 4000
    scores = torch.tensor([[2.0, 7.0, 2.0, 1.0, 2.0]]).expand(n_tokens, -1)
    chosen, ties = choose(scores, 2, STREAM)
    counts = chosen.flatten().bincount(minlength=5)
    assert ties == n_tokens
    assert (counts[1], counts[3]) == (n_tokens, 0)
    # A third each: 1333, standard deviation sqrt(4000 * 1/3 * 2/3) = 29.8
    assert (counts[[0, 2, 4]] - n_tokens / 3).abs().max() < 5 * 29.8


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_exact_ties_spread_evenly_and_never_favour_a_low_index(top_k):
    n_tokens, n_experts = 4096, 8
    chosen, ties = choose(torch.zeros(n_tokens, n_experts), top_k, STREAM)
    assert ties == n_tokens
    assert all(len(set(row)) == top_k for row in chosen.tolist())
    share = top_k / n_experts
    deviation = chosen.flatten().bincount(minlength=n_experts) - n_tokens * share
    assert deviation.abs().max() < 5 * math.sqrt(n_tokens * share * (1 - share))


def test_ties_are_drawn_by_place_and_not_by_chance():
    scores = torch.zeros(64, 8)
    first, _ = choose(scores, 2, STREAM)
    assert torch.equal(choose(scores, 2, STREAM)[0], first)
    assert not torch.equal(choose(scores, 2, Stream(0, (2, 0, 0)))[0], first)
    assert not torch.equal(choose(scores, 2, Stream(1, (1, 0, 0)))[0], first)


def test_a_tie_of_one_token_leaves_the_others_as_they_are():
    scores = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    alone, _ = choose(scores, 2, STREAM)
    scores[7] = 0
    chosen, ties = choose(scores, 2, STREAM)
    others = torch.arange(50) != 7
    assert torch.equal(chosen[others], alone[others])
    assert ties == 1


def test_late_tokens_are_dropped(record):
    routing = record([[0], [1], [0], [0], [1], [0]], n_experts=3)
    assert drop_over_capacity(routing, 2).kept.tolist() == [True, True, True, False, True, False]
    assert drop_over_capacity(routing, 4).kept.all()
    assert routing.kept.all()  # the record given is left as it is


def test_a_slot_goes_to_the_earlier_token_whichever_choice_it_was(record):
    # Choices in order of rank. Expert 1 is wanted by tokens 0, 1 (second choice) and 2 (first choice):
    # by position token 2 loses it; if all first choices came first, token 1 would.
    routing = drop_over_capacity(record([[0, 1], [0, 1], [1, 2]], n_experts=3), 2)
    assert routing.kept.view(3, 2).tolist() == [[True, True], [True, True], [False, True]]


def test_dropping_changes_nothing_but_kept(record):
    routing = record([[0, 1]] * 5, n_experts=4)
    dropped = drop_over_capacity(routing, 3)
    assert dropped.dropped() == 2 * (5 - 3)
    assert dropped.counts().tolist() == [5, 5, 0, 0]  # load is measured before capacity
    for field in ("router_logits", "router_probs", "token", "expert", "gate", "ties"):
        assert getattr(dropped, field) is getattr(routing, field)
