import math

import pytest
import torch
from torch import Tensor

from moe_lab.choosing import choose, choose_in_groups, largest
from moe_lab.streams import Stream

STREAM = Stream(0, (1, 0, 0))


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_largest_scores_are_chosen():
    scores = torch.tensor([[1.0, 4.0, 3.0, 2.0], [0.0, -1.0, -3.0, -2.0]])
    chosen, ties = choose(scores, 2, STREAM)
    assert [set(row) for row in chosen.tolist()] == [{1, 2}, {0, 1}]
    assert not ties.any()
    chosen, ties = choose(scores, 4, STREAM)
    assert chosen.tolist() == [[0, 1, 2, 3]] * 2
    assert not ties.any()


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
    assert ties.tolist() == [tied, False]


def test_a_tie_is_drawn_among_the_tied_alone():
    n_tokens = 4000
    scores = torch.tensor([[2.0, 7.0, 2.0, 1.0, 2.0]]).expand(n_tokens, -1)
    chosen, ties = choose(scores, 2, STREAM)
    counts = chosen.flatten().bincount(minlength=5)
    assert ties.all()
    assert (counts[1], counts[3]) == (n_tokens, 0)
    # A third each: 1333, standard deviation sqrt(4000 * 1/3 * 2/3) = 29.8
    assert (counts[[0, 2, 4]] - n_tokens / 3).abs().max() < 5 * 29.8


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_exact_ties_spread_evenly_and_never_favour_a_low_index(top_k):
    n_tokens, n_experts = 4096, 8
    chosen, ties = choose(torch.zeros(n_tokens, n_experts), top_k, STREAM)
    assert ties.all()
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
    scores = normal(50, 6)
    alone, _ = choose(scores, 2, STREAM)
    scores[7] = 0
    chosen, ties = choose(scores, 2, STREAM)
    others = torch.arange(50) != 7
    assert torch.equal(chosen[others], alone[others])
    assert ties.tolist() == [token == 7 for token in range(50)]


def test_a_group_is_judged_by_its_two_largest_scores():
    # Sums of two: 9 + 0, 5 + 5, 4 + 4. By its best alone, or by its sum of three, group 0 or 2 would win.
    scores = torch.tensor([[9.0, 0.0, 0.0, 5.0, 5.0, -9.0, 4.0, 4.0, 4.0]])
    chosen, tied = choose_in_groups(scores, 2, 3, 1, STREAM)
    assert set(chosen[0].tolist()) == {3, 4}
    assert not tied.any()


def naive_choice(scores: list[float], top_k: int, n_groups: int, top_groups: int) -> list[int]:
    """The definition, for scores without ties."""
    size = len(scores) // n_groups
    groups = [range(g * size, (g + 1) * size) for g in range(n_groups)]
    groups.sort(key=lambda group: -sum(sorted((scores[e] for e in group), reverse=True)[:2]))
    eligible = [e for group in groups[:top_groups] for e in group]
    return sorted(eligible, key=lambda e: -scores[e])[:top_k]


@pytest.mark.parametrize(
    ("n_experts", "top_k", "n_groups", "top_groups"),
    [
        (12, 1, 4, 1),
        (12, 2, 4, 2),
        (12, 6, 4, 2),
        (6, 2, 6, 3),
        (15, 4, 3, 2),
        (6, 6, 2, 2),
        (6, 1, 1, 1),
    ],
)
def test_the_choice_among_groups_is_that_of_the_definition(n_experts, top_k, n_groups, top_groups):
    scores = normal(97, n_experts)
    chosen, tied = choose_in_groups(scores, top_k, n_groups, top_groups, STREAM)
    expected = [naive_choice(row, top_k, n_groups, top_groups) for row in scores.tolist()]
    assert list(map(set, chosen.tolist())) == list(map(set, expected))
    assert not tied.any()


def test_groups_that_tie_are_drawn_evenly_and_count_as_ties():
    n_tokens = 4096
    chosen, tied = choose_in_groups(torch.zeros(n_tokens, 8), 1, 4, 1, STREAM)
    assert tied.all()
    deviation = chosen.flatten().bincount(minlength=8) - n_tokens / 8
    assert deviation.abs().max() < 5 * math.sqrt(n_tokens * 1 / 8 * 7 / 8)


def test_a_tie_between_groups_counts_where_the_experts_do_not_tie():
    # Groups of one: 3 and 3 tie for the second place; k = 1 takes the 5 all the same.
    scores = torch.tensor([[5.0, 3.0, 3.0, 1.0], [5.0, 3.0, 2.0, 1.0]])
    chosen, tied = choose_in_groups(scores, 1, 4, 2, STREAM)
    assert chosen.tolist() == [[0], [0]]
    assert tied.tolist() == [True, False]


def test_all_eligible_experts_can_be_chosen():
    # k is the size of the open groups: the next score is that of a closed expert, and no tie.
    chosen, tied = choose_in_groups(normal(31, 6), 4, 3, 2, STREAM)
    assert not tied.any()
    assert all(len({expert // 2 for expert in row}) == 2 for row in chosen.tolist())


SIZES = [(e, k) for e in (2, 5, 16, 130) for k in (1, 3, 4, 5, 9) if k < e]


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_passes_and_sorts_find_the_same_largest_and_their_lead(n_experts, top_k):
    scores = torch.randn(37, n_experts, generator=torch.Generator().manual_seed(4))
    chosen, lead = largest(scores, top_k)
    for row, experts, found in zip(scores.tolist(), chosen.tolist(), lead.tolist(), strict=True):
        ranked = sorted(range(n_experts), key=lambda e: -row[e])
        assert experts == ranked[:top_k]
        assert found == pytest.approx(row[ranked[top_k - 1]] - row[ranked[top_k]], abs=1e-6)
