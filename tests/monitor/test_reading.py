import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from moe_lab.errors import ConfigError
from moe_lab.monitor.layouts import Choice
from moe_lab.monitor.reading import RouterReader, fitting_score, stated_top_k

LOGITS = torch.tensor([[2.0, 1.0, -1.0], [0.0, 3.0, 1.0]])
CHOSEN = torch.tensor([[0, 1], [1, 2]])
SCORES = {"softmax": LOGITS.softmax(-1), "sigmoid": LOGITS.sigmoid()}


def choice(weights: torch.Tensor | None, chosen: torch.Tensor = CHOSEN) -> Choice:
    return Choice(LOGITS, chosen, weights)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("renormalized", [False, True])
def test_the_score_is_found_by_the_ratios_of_weights(score, scale, renormalized):
    weights = SCORES[score].gather(1, CHOSEN)
    if renormalized:
        weights = weights / weights.sum(-1, keepdim=True)
    assert fitting_score(choice(scale * weights)) == score


@pytest.mark.parametrize("score", SCORES)
def test_with_one_expert_the_score_is_found_between_tokens(score):
    chosen = CHOSEN[:, :1]
    assert fitting_score(choice(SCORES[score].gather(1, chosen), chosen)) == score


def test_probabilities_in_the_place_of_logits_are_known_for_what_they_are():
    probs = LOGITS.softmax(-1)
    assert fitting_score(Choice(probs, CHOSEN, probs.gather(1, CHOSEN))) == "none"


def test_weights_that_are_all_equal_tell_nothing():
    assert fitting_score(choice(torch.ones(2, 2))) is None
    assert fitting_score(choice(None)) is None


def test_what_tells_nothing_decides_nothing_for_later():
    """A router that starts at zero has equal logits; it is read as sigmoid once its weights differ."""
    reader = RouterReader(None, None, None)
    flat = (torch.zeros(2, 3), torch.full((2, 2), 0.5), CHOSEN)
    assert reader.record(flat, None).router_probs[0].tolist() == pytest.approx([1 / 3] * 3)
    assert reader.score is None
    reader.record((LOGITS, SCORES["sigmoid"].gather(1, CHOSEN), CHOSEN), None)
    assert reader.score == "sigmoid"


def test_sigmoid_probabilities_are_scores_over_their_sum():
    """logits ln 3, 0, -ln 3: scores 3/4, 1/2, 1/4; their sum is 3/2, so P = 1/2, 1/3, 1/6."""
    logits = torch.tensor([[3.0, 1.0, 1 / 3]]).log()
    reader = RouterReader(None, "sigmoid", None)
    routing = reader.record((logits, torch.ones(1, 1), torch.tensor([[0]])), None)
    assert routing.router_probs[0].tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 6])


def test_probabilities_come_back_as_they_were():
    probs = torch.tensor([[0.5, 0.25, 0.25]])
    routing = RouterReader(1, "none", None).record(probs, None)
    assert routing.router_probs[0].tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_equal_kth_and_next_logits_are_a_tie():
    """k = 2: token 0 has 2, 1 | 1, a tie; token 1 has 3, 1 | 0; token 2 ties above the cut, which decides nothing."""
    logits = torch.tensor([[1.0, 2.0, 1.0], [3.0, 0.0, 1.0], [4.0, 4.0, 0.0]])
    routing = RouterReader(2, None, None).record(logits, None)
    assert routing.ties.item() == 1


def test_with_every_expert_chosen_nothing_is_tied():
    assert RouterReader(3, None, None).record(torch.zeros(2, 3), None).ties.item() == 0


@given(st.lists(st.booleans(), min_size=2, max_size=2))
def test_only_counted_tokens_are_in_the_record(counted):
    reader = RouterReader(None, "softmax", None)
    output = (LOGITS, torch.rand(2, 2), CHOSEN)
    routing = reader.record(output, torch.tensor(counted))
    wanted = [e for row, is_in in zip(CHOSEN.tolist(), counted, strict=True) if is_in for e in row]
    assert routing.expert.tolist() == wanted
    assert len(routing.router_probs) == sum(counted)


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(ConfigError, match="3 entries, and a router was given 2 tokens"):
        RouterReader(None, None, None).record((LOGITS, torch.rand(2, 2), CHOSEN), torch.ones(3) > 0)


def test_a_layout_of_its_own_can_be_translated():
    def own(output: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return output["logits"], output["weights"], output["chosen"]

    output = {"logits": LOGITS, "weights": torch.rand(2, 2), "chosen": CHOSEN}
    assert RouterReader(None, None, own).record(output, None).expert.tolist() == [0, 1, 1, 2]


def test_half_precision_is_read_as_float32():
    output = (LOGITS.bfloat16(), torch.rand(2, 2).bfloat16(), CHOSEN)
    routing = RouterReader(None, None, None).record(output, None)
    assert {routing.router_logits.dtype, routing.router_probs.dtype, routing.gate.dtype} == {
        torch.float32
    }


def test_top_k_is_read_off_the_router_then_its_parent_then_the_config():
    def module(**facts: object) -> nn.Module:
        made = nn.Identity()
        for name, value in facts.items():
            setattr(made, name, value)
        return made

    class Config:
        num_experts_per_tok = 4

    model = module(config=Config())
    assert stated_top_k(module(top_k=2), module(top_k=3), model) == 2
    assert stated_top_k(module(), module(moe_top_k=3), model) == 3
    assert stated_top_k(module(), module(), model) == 4
    assert stated_top_k(module(), module(), module()) is None
