"""The layer against its definition, one token and one choice at a time."""

import math
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from moe_lab.balancing.base import Balancer
from moe_lab.balancing.importance import Importance
from moe_lab.balancing.switch import Switch
from moe_lab.experts import Experts
from moe_lab.moe import CapacityFactors, MoELayer
from moe_lab.routing.top_k import TopK
from moe_lab.streams import Stream

B, S, E, D_MODEL, D_EXPERT = 1, 13, 5, 8, 24
STREAM = Stream(0)
UNLIMITED = CapacityFactors()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def build(top_k: int, limits: CapacityFactors = UNLIMITED, **router: object) -> MoELayer:
    layer = MoELayer(
        TopK(D_MODEL, E, top_k, **router),
        Experts(E, D_MODEL, D_EXPERT),
        {"switch": Switch(), "importance": Importance()},
        "switch",
        limits,
    )
    with torch.no_grad():
        for seed, parameter in enumerate(layer.parameters(), 1):
            parameter.copy_(normal(*parameter.shape, seed=seed) / 3)
    return layer


def naive_moe(layer: MoELayer, x: Tensor, factor: float | None, renormalize: bool) -> Tensor:
    """The definition: nothing is sorted, grouped or batched."""
    top_k, w = layer.router.top_k, layer.router.weight
    slots = math.inf if factor is None else math.ceil(factor * top_k * len(x) / E)
    taken: Counter[int] = Counter()
    outputs = []
    for token in x:
        logits = [token @ w[e] for e in range(E)]
        total = sum(logit.exp() for logit in logits)
        probs = [logit.exp() / total for logit in logits]
        chosen = sorted(range(E), key=lambda e: -logits[e].item())[:top_k]
        norm = sum(probs[e] for e in chosen) if renormalize else 1
        output = torch.zeros(D_MODEL)
        for e in chosen:
            taken[e] += 1
            if taken[e] <= slots:
                hidden = nn.functional.gelu(token @ layer.experts.w_in[e])
                output = output + probs[e] / norm * (hidden @ layer.experts.w_out[e])
        outputs.append(output)
    return torch.stack(outputs)


def gradients(layer: MoELayer, x: Tensor, output: Tensor) -> dict[str, Tensor]:
    """Of x and of every parameter, for a loss in which each output counts differently."""
    loss = (output.reshape(-1, D_MODEL) * normal(S, D_MODEL, seed=9)).sum()
    wanted = {"x": x, **dict(layer.named_parameters())}
    return dict(zip(wanted, torch.autograd.grad(loss, list(wanted.values())), strict=True))


def spread(layer: MoELayer) -> None:
    """As initialised: every expert gets something."""


def one(layer: MoELayer) -> None:
    """Expert 3 is everybody's first choice: inputs have a constant first entry."""
    layer.router.weight[3, 0] = 50.0


def empty(layer: MoELayer) -> None:
    """Experts 0 and 4 are nobody's choice as long as there are three others."""
    layer.router.weight[0, 0] = layer.router.weight[4, 0] = -50.0


@pytest.mark.parametrize("top_k", [1, 2, 3])
@pytest.mark.parametrize("factor", [None, 1.0, 0.4])
@pytest.mark.parametrize("case", [spread, one, empty])
@pytest.mark.parametrize("renormalize", [False, True])
def test_outputs_and_all_gradients_are_those_of_the_definition(top_k, factor, case, renormalize):
    layer = build(top_k, CapacityFactors(training=factor), renormalize=renormalize)
    with torch.no_grad():
        case(layer)
    x = normal(S, D_MODEL)
    x[:, 0] = 1.0
    x.requires_grad_()
    output, routing = layer(x.view(B, S, D_MODEL), STREAM)
    expected = naive_moe(layer, x, factor, renormalize)
    torch.testing.assert_close(output.view(S, D_MODEL), expected, rtol=1e-5, atol=1e-6)
    found, wanted = gradients(layer, x, output), gradients(layer, x, expected)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)
    if case is one:
        assert routing.counts()[3] == S
    if case is empty:
        assert routing.counts()[[0, 4]].tolist() == [0, 0]
    if factor is None or case is one:
        assert bool(routing.dropped()) == (factor is not None)


def test_a_token_that_lost_every_choice_passes_nothing():
    # 13 tokens, one expert, ceil(1.0 * 13 / 5) = 3 slots: the first three tokens keep theirs.
    layer, x = build(1, CapacityFactors(training=1.0)), normal(S, D_MODEL)
    x[:, 0] = 1.0
    with torch.no_grad():
        one(layer)
    output, routing = layer(x[None], STREAM)
    assert (output[0] != 0).any(dim=1).tolist() == [True] * 3 + [False] * 10
    assert routing.dropped() == 10
    assert routing.counts().tolist() == [0, 0, 0, 13, 0]


def test_sequences_of_a_batch_share_the_slots():
    layer, x = build(1, CapacityFactors(training=1.0)), normal(2, 6, D_MODEL)
    x[..., 0] = 1.0
    with torch.no_grad():
        one(layer)
    output, routing = layer(x, STREAM)
    assert output.shape == x.shape
    # ceil(1.0 * 12 / 5) = 3 of 12 tokens, in order of sequence, then position
    assert routing.kept.view(2, 6).tolist() == [[True] * 3 + [False] * 3, [False] * 6]


@pytest.mark.parametrize(
    ("limits", "dropped"),
    [
        (CapacityFactors(training=0.5), (True, False)),
        (CapacityFactors(evaluation=0.5), (False, True)),
        (CapacityFactors(), (False, False)),
    ],
)
def test_training_and_evaluation_have_limits_of_their_own(limits, dropped):
    layer, x = build(1, limits), normal(1, S, D_MODEL)
    found = [bool(layer.train(mode)(x, STREAM)[1].dropped()) for mode in (True, False)]
    assert tuple(found) == dropped


def test_every_balancer_is_measured_whichever_is_chosen():
    layer = build(2)
    _, routing = layer(normal(1, S, D_MODEL), STREAM)
    losses = layer.balance_losses(routing)
    assert losses == {"switch": Switch().loss(routing), "importance": Importance().loss(routing)}


class Lift(Balancer):
    """Pushes the choice to the last expert, without a loss, and remembers what it is told."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(E, dtype=torch.int64))

    def selection_bias(self):
        return torch.tensor([0.0] * (E - 1) + [100.0])

    def after_step(self, counts):
        self.seen += counts


@pytest.mark.parametrize("chosen", ["lift", "switch"])
def test_the_chosen_balancer_alone_biases_the_choice(chosen):
    balancers = {"switch": Switch(), "lift": Lift()}
    plain = build(1)
    layer = MoELayer(plain.router, plain.experts, balancers, chosen, UNLIMITED)
    _, routing = layer(normal(1, S, D_MODEL), STREAM)
    assert (routing.counts()[-1] == S) == (chosen == "lift")
    assert list(layer.balance_losses(routing)) == ["switch"]
    layer.after_step(routing.counts())
    assert torch.equal(balancers["lift"].seen, routing.counts())
    assert [name for name, _ in layer.named_buffers()] == ["balancers.lift.seen"]
