"""Each layout with a hand-made output of two or three tokens."""

import pytest
import torch
from torch import Tensor

from moe_lab.errors import ConfigError
from moe_lab.monitor.layouts import read

INF = float("inf")
LOGITS = torch.tensor([[1.0, 3.0, 2.0, 0.0], [5.0, 0.0, 1.0, 4.0]])  # (2, 4)


def sets(chosen: Tensor) -> list[set[int]]:
    return [set(row) for row in chosen.tolist()]


def test_indices_of_a_triple_win_over_the_largest_logits():
    indices = torch.tensor([[3, 0], [1, 2]])  # the smallest logits
    choice = read((LOGITS, torch.rand(2, 2), indices), top_k=2)
    assert sets(choice.chosen) == [{0, 3}, {1, 2}]


def test_a_triple_may_have_more_behind_it():
    assert read((LOGITS, torch.rand(2, 2), torch.tensor([[0, 1], [2, 3]]), torch.rand(2, 1)), None)


def test_sequences_are_flattened_to_tokens():
    indices = torch.tensor([[[3], [1]]])  # (1, 2, 1)
    choice = read((LOGITS.view(1, 2, 4), torch.rand(1, 2, 1), indices), None)
    assert choice.chosen.tolist() == [[3], [1]]
    assert choice.logits.shape == (2, 4)


def test_logits_alone_stand_for_their_largest():
    assert sets(read(LOGITS, top_k=2).chosen) == [{1, 2}, {0, 3}]


def test_five_parts_of_sorted_experts_end_in_logits():
    """JetMoE: sorted positions, token of each, its gate, tokens per expert as a list, logits."""
    parts = (torch.arange(4), torch.tensor([0, 0, 1, 1]), torch.rand(4), [1, 1, 1, 1], LOGITS)
    assert sets(read(parts, top_k=2).chosen) == [{1, 2}, {0, 3}]


def test_scores_before_logits_are_not_read_as_logits():
    """Llama 4: sigmoid of the logits where chosen, else 0. The first of two is the scores."""
    scores = torch.tensor([[0.0, 0.95, 0.0, 0.0], [0.99, 0.0, 0.0, 0.0]])
    choice = read((scores, LOGITS), top_k=1)
    assert choice.logits is not scores
    assert torch.equal(choice.logits, LOGITS)
    assert choice.weights is not None
    assert choice.weights.flatten().tolist() == pytest.approx([0.95, 0.99])


def test_logits_alone_need_a_number_of_experts():
    with pytest.raises(ConfigError, match="how many experts"):
        read(LOGITS, top_k=None)


def test_a_dropped_token_of_switch_was_chosen_by_its_logits():
    """Token 1 is over capacity: its row of the one-hot is empty, and its largest logit is that of expert 0."""
    one_hot = torch.tensor([[[0, 1, 0, 0], [0, 0, 0, 0]]])
    choice = read((one_hot, torch.rand(1, 2, 1), LOGITS.view(1, 2, 4)), None)
    assert choice.chosen.tolist() == [[1], [0]]
    assert choice.kept is not None
    assert choice.kept.tolist() == [[True], [False]]


def test_the_kept_choices_of_nllb_are_those_with_a_weight():
    """Token 0 keeps both of its two best, 1 and 2; token 1 keeps 3 and has lost 0."""
    first = torch.tensor([[0, 1, 0, 0], [0, 0, 0, 0]])
    weights = torch.tensor([[0.0, 0.7, 0.3, 0.0], [0.0, 0.0, 0.0, 1.0]])
    choice = read((first, weights, LOGITS), None)
    assert sets(choice.chosen) == [{1, 2}, {0, 3}]
    assert choice.kept is not None
    kept = [
        dict(zip(c, k, strict=True))
        for c, k in zip(choice.chosen.tolist(), choice.kept.tolist(), strict=True)
    ]
    assert kept == [{1: True, 2: True}, {3: True, 0: False}]


def test_some_tokens_can_be_left_out():
    choice = read((LOGITS, torch.rand(2, 1), torch.tensor([[3], [1]])), None)
    assert choice.of(torch.tensor([False, True])).chosen.tolist() == [[1]]


@pytest.mark.parametrize("output", [(), "text", (LOGITS, "text"), (LOGITS, LOGITS, LOGITS)])
def test_an_unknown_layout_is_described_and_refused(output):
    with pytest.raises(ConfigError, match="no known layout") as refused:
        read(output, top_k=1)
    assert "read=" in str(refused.value.problems[0].help)


def test_the_refusal_names_types_and_shapes():
    with pytest.raises(ConfigError, match=r"float32\(2, 4\), int64\(2,\)"):
        read((LOGITS, torch.tensor([0, 1])), top_k=1)
