import pytest
import torch
from torch import Tensor

from moe_lab.routing.base import Routing
from moe_lab.routing.reference import RULES, Reference
from moe_lab.streams import Stream

STREAM = Stream(0, (1, 0, 0))
E = 5


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def build(assignment: str, top_k: int = 1, **options: object) -> Reference:
    router = Reference(8, E, top_k, assignment=assignment, **options)
    with torch.no_grad():
        router.weight.copy_(normal(E, 8))
    return router


def route(
    assignment: str, top_k: int, labels: list[int], stream: Stream = STREAM, **options: object
) -> Routing:
    router = build(assignment, top_k, **options)
    given = torch.tensor(labels) if router.reads else None
    return router(normal(len(labels), 8), stream, labels=given)


def experts(*args: object, **options: object) -> list[list[int]]:
    routing = route(*args, **options)
    return routing.expert.view(-1, routing.top_k).tolist()


@pytest.mark.parametrize("assignment", ["domain", "map_domain"])
def test_a_domain_has_k_experts_of_its_own_until_they_run_out(assignment):
    assert experts(assignment, 1, [0, 3, 5, 3, 12]) == [[0], [3], [0], [3], [2]]
    assert experts(assignment, 2, [0, 1, 2, 7]) == [[0, 1], [2, 3], [4, 0], [4, 0]]


def test_domains_are_read_from_what_they_are_named_for():
    reads = {assignment: build(assignment).reads for assignment in RULES}
    assert reads == {
        "domain": "domains",
        "map_domain": "map_domains",
        "token_hash": "tokens",
        "random": None,
        "single": None,
        "round_robin": None,
    }


def test_a_rule_without_its_labels_is_our_mistake():
    with pytest.raises(AssertionError, match="map_domains"):
        build("map_domain")(normal(3, 8), STREAM)


def test_single_is_total_collapse():
    assert experts("single", 1, [4, 2, 3]) == [[0]] * 3
    assert experts("single", 2, [4, 2, 3]) == [[0, 1]] * 3


def test_round_robin_loads_all_evenly():
    assert experts("round_robin", 2, [0] * 5) == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]
    assert route("round_robin", 2, [0] * 5).counts().tolist() == [2] * E


def test_a_token_id_goes_to_the_same_experts_wherever_it_stands():
    ids = [7, 3, 7, 200, 3, 7]
    found = experts("token_hash", 2, ids)
    assert found[0] == found[2] == found[5]
    assert found[1] == found[4]
    assert experts("token_hash", 2, ids, stream=Stream(0, ("eval", 3, 1))) == found
    assert experts("token_hash", 2, [3, 7]) == [found[1], found[0]]  # whatever else is in the batch


def test_another_seed_is_another_hash_and_spreads_ids_evenly():
    ids = list(range(4000))
    found = route("token_hash", 2, ids)
    # 1600 each, standard deviation sqrt(4000 * .4 * .6) = 31
    assert (found.counts() - 1600).abs().max() < 5 * 31
    other = route("token_hash", 2, ids, stream=Stream(1, (1, 0, 0)))
    assert not torch.equal(found.expert, other.expert)


def test_random_is_drawn_for_every_token_step_and_layer():
    found = route("random", 2, [0] * 4000)
    assert (found.counts() - 1600).abs().max() < 5 * 31
    assert torch.equal(route("random", 2, [0] * 4000).expert, found.expert)
    for elsewhere in (Stream(0, (2, 0, 0)), Stream(0, (1, 0, 1))):
        other = route("random", 2, [0] * 4000, stream=elsewhere).expert
        # First choices agree by chance alone: .2, standard error sqrt(.2 * .8 / 4000) = .0063
        agreeing = (other.view(-1, 2)[:, 0] == found.expert.view(-1, 2)[:, 0]).double().mean()
        assert abs(agreeing - 0.2) < 5 * 0.0063


@pytest.mark.parametrize("assignment", RULES)
def test_learned_gates_are_a_routers_probabilities_on_the_fixed_assignment(assignment):
    routing = route(assignment, 2, [0, 1, 2, 3, 4, 5, 6])
    expected = (normal(7, 8) @ normal(E, 8).T).softmax(-1)
    torch.testing.assert_close(routing.router_probs, expected)
    assert torch.equal(routing.gate, routing.router_probs[routing.token, routing.expert])
    renormalized = route(assignment, 2, [0, 1, 2, 3, 4, 5, 6], renormalize=True)
    pairs = routing.gate.view(7, 2)
    torch.testing.assert_close(renormalized.gate.view(7, 2), pairs / pairs.sum(-1, keepdim=True))


@pytest.mark.parametrize("assignment", RULES)
def test_gates_of_one_share_it_among_k_and_pass_no_gradient(assignment):
    routing = route(assignment, 2, [0, 1, 2], gate="one")
    assert routing.gate.tolist() == [0.5] * 6
    assert not routing.gate.requires_grad
    assert routing.router_probs.requires_grad  # balance losses can be measured all the same


@pytest.mark.parametrize("assignment", RULES)
def test_nothing_ties_even_at_zero_weights(assignment):
    router = build(assignment, 2)
    torch.nn.init.zeros_(router.weight)
    labels = torch.arange(64)
    assert router(normal(64, 8), STREAM, labels=labels).ties == 0
