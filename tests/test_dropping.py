"""Every drop order against the definition, one assignment at a time."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from moe_lab.capacity import DropOrder
from moe_lab.dropping import drop_over_capacity
from moe_lab.routing.base import Routing
from moe_lab.streams import Stream

STREAM = Stream(0, (1, 0, 0))


def kept(routing: Routing, slots: int, order: DropOrder = "position") -> list[bool]:
    return drop_over_capacity(routing, slots, order, STREAM).kept.tolist()


def weighed(routing: Routing, gates: list[float]) -> Routing:
    return replace(routing, gate=torch.tensor(gates))


def test_late_tokens_are_dropped(record):
    routing = record([[0], [1], [0], [0], [1], [0]], n_experts=3)
    assert kept(routing, 2) == [True, True, True, False, True, False]
    assert all(kept(routing, 4))
    assert routing.kept.all()  # the record given is left as it is


def test_by_position_a_slot_goes_to_the_earlier_token_whichever_choice_it_was(record):
    # Choices in order of rank. Expert 1 is wanted by tokens 0, 1 (second choice) and 2 (first choice):
    # by position token 2 loses it; if all first choices came first, token 1 would.
    routing = record([[0, 1], [0, 1], [1, 2]], n_experts=3)
    assert kept(routing, 2) == [True, True, True, True, False, True]


def test_by_batch_priority_first_choices_come_before_second_ones(record):
    # The same, with gates that fall with rank. Equal probabilities: the earlier of two second choices stays.
    routing = weighed(record([[0, 1], [0, 1], [1, 2]], n_experts=3), [0.5, 0.3, 0.5, 0.3, 0.5, 0.3])
    assert kept(routing, 2, "batch_priority") == [True, True, True, False, True, True]


def test_by_batch_priority_the_surer_token_comes_first(record):
    # Largest probabilities .5, .9, .6, though of another expert than the one that all want.
    probs = [[0.3, 0.2, 0.5], [0.06, 0.04, 0.9], [0.3, 0.1, 0.6]]
    routing = record([[0], [0], [0]], probs=probs)
    assert kept(routing, 1, "batch_priority") == [False, True, False]
    assert kept(routing, 2, "batch_priority") == [False, True, True]


def test_the_first_choice_is_that_of_the_largest_gate_wherever_it_is_recorded(record):
    # Token 0 records its second choice first. Both want expert 0, token 1 as its first choice.
    routing = weighed(record([[0, 1], [0, 1]], n_experts=2), [0.2, 0.8, 0.7, 0.3])
    assert kept(routing, 1, "batch_priority") == [False, True, True, False]


def test_by_probability_the_larger_gate_stays_and_the_earlier_of_equals(record):
    routing = weighed(record([[0], [0], [0], [0], [1]], n_experts=2), [0.2, 0.7, 0.4, 0.4, 0.1])
    assert kept(routing, 1, "probability") == [False, True, False, False, True]
    assert kept(routing, 2, "probability") == [False, True, True, False, True]


def test_at_random_every_assignment_stays_equally_often(record):
    routing = record([[0]] * 5, n_experts=2)
    trials = 4000
    streams = (Stream(0, (step, 0, 0)) for step in range(trials))
    counts = sum(drop_over_capacity(routing, 2, "random", s).kept.int() for s in streams)
    # Two of five: 1600, standard deviation sqrt(4000 * .4 * .6) = 31
    assert (counts - 1600).abs().max() < 5 * 31
    assert kept(routing, 2, "random") == kept(routing, 2, "random")


@pytest.mark.parametrize("order", get_args(DropOrder))
def test_dropping_changes_nothing_but_kept(record, order):
    routing = record([[0, 1]] * 5, n_experts=4)
    dropped = drop_over_capacity(routing, 3, order, STREAM)
    assert dropped.dropped() == 2 * (5 - 3)
    assert dropped.counts().tolist() == [5, 5, 0, 0]  # load is measured before capacity
    for field in vars(routing).keys() - {"kept"}:
        assert getattr(dropped, field) is getattr(routing, field)


def queue_by_position(routing: Routing) -> list[int]:
    return list(range(len(routing.token)))


def queue_by_probability(routing: Routing) -> list[int]:
    return sorted(range(len(routing.token)), key=lambda a: (-routing.gate[a].item(), a))


def queue_at_random(routing: Routing) -> list[int]:
    return STREAM.permutation("drop_order", len(routing.token)).tolist()


def queue_by_batch_priority(routing: Routing) -> list[int]:
    queue = []
    surest = sorted(range(len(routing.router_probs)), key=lambda t: -max(routing.router_probs[t]))
    for rank in range(routing.top_k):
        for token in surest:
            own = [a for a in range(len(routing.token)) if routing.token[a] == token]
            queue.append(sorted(own, key=lambda a: -routing.gate[a].item())[rank])
    return queue


ORACLES: dict[DropOrder, Callable[[Routing], list[int]]] = {
    "position": queue_by_position,
    "probability": queue_by_probability,
    "random": queue_at_random,
    "batch_priority": queue_by_batch_priority,
}


def served_one_by_one(routing: Routing, slots: int, queue: list[int]) -> list[bool]:
    taken: Counter[int] = Counter()
    served = [False] * len(queue)
    for a in queue:
        expert = routing.expert[a].item()
        served[a] = taken[expert] < slots
        taken[expert] += 1
    return served


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("order", get_args(DropOrder))
@pytest.mark.parametrize(
    ("n_tokens", "n_experts", "top_k"), [(23, 5, 1), (23, 5, 2), (11, 3, 3), (1, 2, 1)]
)
@pytest.mark.parametrize("slots", [1, 4, 30])
def test_slots_are_given_as_by_serving_one_by_one(record, order, n_tokens, n_experts, top_k, slots):
    logits = normal(n_tokens, n_experts) + torch.linspace(1, 0, n_experts)  # some are preferred
    routing = record(logits.topk(top_k).indices.tolist(), logits=logits)
    assert kept(routing, slots, order) == served_one_by_one(routing, slots, ORACLES[order](routing))
