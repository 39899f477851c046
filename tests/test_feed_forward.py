"""Activations and the dense network, against their definitions."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moe_lab.experts import Experts
from moe_lab.feed_forward import ACTIVATIONS, FeedForward


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_swiglu_gates_the_second_half_by_the_silu_of_the_first():
    # silu(1) = 1 / (1 + e^-1) = .731059, silu(-2) = -2 / (1 + e^2) = -.238406
    found = ACTIVATIONS["swiglu"].apply(torch.tensor([1.0, -2.0, 3.0, 5.0]))
    expected = [3 / (1 + math.exp(-1)), 5 * -2 / (1 + math.exp(2))]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize(
    ("name", "value"),
    # of -1: -Phi(-1), 0 and -1 / (1 + e)
    [("gelu", -0.158655), ("relu", 0.0), ("silu", -0.268941)],
)
def test_plain_activations_keep_the_width(name, value):
    activation = ACTIVATIONS[name]
    assert activation.inputs == 1
    found = activation.apply(torch.full((3,), -1.0))
    torch.testing.assert_close(found, torch.full((3,), value), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("top_k", [1, 3])
def test_experts_with_any_activation_are_a_loop_over_tokens_gradients_included(name, top_k, record):
    activation, tokens, n_experts = ACTIVATIONS[name], 13, 5
    experts = Experts(n_experts, 8, 24, activation)
    with torch.no_grad():
        for seed, parameter in enumerate(experts.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed) / 3)
    x, logits = normal(tokens, 8, seed=5).requires_grad_(), normal(tokens, n_experts, seed=6)
    routing = record(logits.topk(top_k, dim=-1).indices.tolist(), logits=logits)
    found = experts(x, routing)
    expected = []
    for t in range(tokens):
        output = torch.zeros(8)
        for a in range(t * top_k, (t + 1) * top_k):
            e = routing.expert[a]
            z = x[t] @ experts.w_in[e]
            hidden = F.silu(z[:24]) * z[24:] if name == "swiglu" else getattr(F, name)(z)
            output = output + routing.gate[a] * (hidden @ experts.w_out[e])
        expected.append(output)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-5)
    wanted, weigh = [x, *experts.parameters()], normal(tokens, 8, seed=7)
    grads = torch.autograd.grad((found * weigh).sum(), wanted)
    slow = torch.autograd.grad((torch.stack(expected) * weigh).sum(), wanted)
    for one, other in zip(grads, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_everywhere_is_what_each_expert_says_of_each_token(name, record):
    experts, x = Experts(3, 8, 16, ACTIVATIONS[name]), normal(7, 8)
    with torch.no_grad():
        for seed, parameter in enumerate(experts.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed))
    outputs = experts.everywhere(x)
    certain = torch.eye(3) * 200 - 100
    for expert in range(3):
        routing = record([[expert]] * 7, logits=certain[expert].expand(7, -1))
        torch.testing.assert_close(outputs[expert], experts(x, routing), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gelu", "swiglu"])
def test_a_dense_network_is_one_expert(name, record):
    dense, expert = FeedForward(8, 16, ACTIVATIONS[name]), Experts(1, 8, 16, ACTIVATIONS[name])
    with torch.no_grad():
        for seed, parameter in enumerate(dense.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed))
        expert.w_in.copy_(dense.w_in.T)
        expert.w_out.copy_(dense.w_out.T)
    x = normal(2, 5, 8)
    routed = expert(x.flatten(0, 1), record([[0]] * 10, n_experts=1))
    torch.testing.assert_close(dense(x).flatten(0, 1), routed, rtol=1e-4, atol=1e-4)
