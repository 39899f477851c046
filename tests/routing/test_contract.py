"""What every router promises, with every value of every option."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from moe_lab.registry import ROUTERS
from moe_lab.routing.base import Router, Routing
from moe_lab.streams import Stream

T, D_MODEL, STREAM = 13, 8, Stream(0, (1, 0, 0))
SIZES = [(6, 1), (6, 2), (4, 4)]
# Options that need another one, and numbers, which have no list of values.
TOGETHER: dict[str, dict[str, Any]] = {
    "renormalize_over": {"renormalize": True, "renormalize_over": "kept"},
    "n_groups": {"n_groups": 2, "top_groups": 2},
    "top_groups": {"n_groups": 2, "top_groups": 2},
    "jitter": {"jitter": 0.3},
}


REQUIRED = {"reference": {"assignment": "token_hash"}}  # options without a default


@dataclass(frozen=True)
class Case:
    """A router with some of its options."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])

    def build(self, n_experts: int = 6, top_k: int = 2, **settings: object) -> Router:
        router = ROUTERS.load(self.name)(D_MODEL, n_experts, top_k, **settings, **self.options)
        with torch.no_grad():
            for parameter in router.parameters():
                parameter.copy_(normal(*parameter.shape))
        return router

    @property
    def adds_bias_to_choice(self) -> bool:
        return self.name != "reference"

    @property
    def draws_in_evaluation(self) -> bool:
        return self.options.get("assignment") == "random"


def cases() -> Iterator[Case]:
    for name in ROUTERS.names():
        yield Case(name, REQUIRED.get(name, {}))
        for key, option in ROUTERS.options(name).items():
            if key in TOGETHER:
                yield Case(name, TOGETHER[key])
                continue
            values = (True, False) if option.type is bool else get_args(option.type)
            assert values, f"the contract knows no value of {name}.{key}"
            others = (value for value in values if value != option.default)
            yield from (Case(name, {**REQUIRED.get(name, {}), key: value}) for value in others)
    yield Case("top_k", {"score": "sigmoid", "renormalize": True})
    yield Case("reference", {"assignment": "domain", "gate": "one"})


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def call(
    router: Router, x: Tensor | None = None, stream: Stream = STREAM, bias: Any = None
) -> Routing:
    labels = torch.arange(T) % 5 if router.reads else None
    return router(normal(T, D_MODEL) if x is None else x, stream, bias, labels)


@pytest.fixture(params=cases(), ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_each_token_has_k_different_experts_in_token_major_order(case, n_experts, top_k):
    routing = call(case.build(n_experts, top_k))
    assert routing.router_logits.shape == routing.router_probs.shape == (T, n_experts)
    assert routing.token.tolist() == [t for t in range(T) for _ in range(top_k)]
    experts = routing.expert.view(T, top_k).tolist()
    assert all(len(set(row)) == top_k for row in experts)
    assert (routing.n_experts, routing.top_k) == (n_experts, top_k)
    assert routing.counts().sum() == T * top_k
    assert routing.kept.all()


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_load_and_importance_sum_to_one_for_every_k(case, n_experts, top_k):
    routing = call(case.build(n_experts, top_k))
    torch.testing.assert_close(routing.load().sum(), torch.tensor(1.0))
    torch.testing.assert_close(routing.importance().sum(), torch.tensor(1.0))
    torch.testing.assert_close(routing.router_probs.sum(-1), torch.ones(T))


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_gates_lie_between_zero_and_one(case, n_experts, top_k):
    routing = call(case.build(n_experts, top_k))
    assert routing.gate.shape == (T * top_k,)
    assert ((routing.gate > 0) & (routing.gate <= 1)).all()


def test_the_same_place_gives_the_same_routing(case):
    router = case.build(noise=1.0)
    first, again = call(router), call(router)
    for name in ("router_logits", "router_probs", "token", "expert", "gate", "kept", "ties"):
        assert torch.equal(getattr(first, name), getattr(again, name))


def test_evaluation_draws_nothing(case):
    router = case.build(noise=1.0).eval()
    here, there = call(router), call(router, stream=Stream(0, ("eval", 7)))
    assert torch.equal(here.expert, there.expert) != case.draws_in_evaluation
    assert here.ties == 0


def test_noise_and_jitter_leave_logits_and_probabilities_clean(case):
    calm, shaken = case.build().eval(), case.build(noise=1.0).train()
    assert torch.equal(call(calm).router_logits, call(shaken).router_logits)
    assert torch.equal(call(calm).router_probs, call(shaken).router_probs)


def test_a_bias_picks_experts_and_never_weighs_them(case):
    # It adds expert 5 to every token's choice: one that removed an expert would hide a leak into the gates.
    router = case.build().eval()
    clean, biased = call(router), call(router, bias=torch.tensor([0.0, 0, 0, 0, 0, 100]))
    assert clean.counts()[5] < T
    assert (biased.counts()[5] == T) == case.adds_bias_to_choice
    assert torch.equal(biased.router_probs, clean.router_probs)
    assert torch.equal(biased.router_logits, clean.router_logits)
    # The two gates of a token are in proportion as where all experts are chosen and none is biased.
    unbiased = by_expert(call(case.build(top_k=6).eval()))[biased.token, biased.expert].view(T, 2)
    gates = biased.gate.view(T, 2)
    torch.testing.assert_close(gates[:, 0] * unbiased[:, 1], gates[:, 1] * unbiased[:, 0])


def by_expert(routing: Routing) -> Tensor:
    """Gates as a table of tokens and experts."""
    gates = torch.zeros_like(routing.router_probs)
    return gates.index_put((routing.token, routing.expert), routing.gate)


def test_the_record_is_float32_under_autocast(case):
    router, x = case.build().eval(), normal(T, D_MODEL).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        routing = call(router, x)
    for values in (routing.router_logits, routing.router_probs, routing.gate):
        assert values.dtype == torch.float32
    assert torch.equal(routing.router_logits, call(router, x.float()).router_logits)


def test_a_bias_of_the_router_itself_is_in_the_logits_and_learned(case):
    router = case.build(biased=True)
    with torch.no_grad():
        router.bias.copy_(torch.tensor([100.0, 0, 0, 0, 0, 0]))
    routing = call(router)
    assert (routing.router_logits.argmax(-1) == 0).all()
    routing.importance()[0].backward()
    assert router.bias.grad is not None
    assert case.build().bias is None


def test_the_task_reaches_the_router_through_the_gates_unless_it_learns_nothing(case):
    router = case.build()
    gates = call(router).gate
    assert gates.requires_grad == router.learns
    if router.learns:
        (gates * normal(2 * T)).sum().backward()
        assert router.weight.grad.norm() > 1e-2
        assert all(parameter.grad.isfinite().all() for parameter in router.parameters())


def test_gates_still_lie_between_zero_and_one_after_dropping(case):
    router = case.build()
    routing = call(router)
    kept = torch.tensor(([True, False] * T)[: T - 1] + [False] * (T + 1))
    weighed = router.weigh_kept(replace(routing, kept=kept))
    assert torch.equal(weighed.kept, kept)
    assert ((weighed.gate >= 0) & (weighed.gate <= 1)).all()
