from dataclasses import replace

import pytest
import torch

from moe_lab import metrics
from moe_lab.balancing.switch import Switch
from moe_lab.passes import weighted
from moe_lab.routing.base import Routing
from moe_lab.routing.top_k import TopK
from moe_lab.streams import Stream


def routed(logits: list[list[float]]) -> Routing:
    """Through the real router at k = 1, one token per row of logits."""
    wanted = torch.tensor(logits)
    router = TopK(len(logits), wanted.shape[1], 1)
    with torch.no_grad():
        router.weight.copy_(wanted.T)  # token t is the t-th unit vector
    return router(torch.eye(len(logits)), Stream(0))


def test_four_tokens_over_three_experts(record):
    # P = [.5 + .3 + .1 + .8, .4 + .3 + .2 + .2, .1 + .4 + .7 + 0] / 4 = [1.7, 1.1, 1.2] / 4
    # first choices 0, 2, 2, 0: f = [2, 0, 2] / 4
    # 3 * (1.7 * 2 + 1.2 * 2) / 16 = 3 * 5.8 / 16 = 1.0875
    probs = [[0.5, 0.4, 0.1], [0.3, 0.3, 0.4], [0.1, 0.2, 0.7], [0.8, 0.2, 0.0]]
    loss = Switch().loss(record([[0], [2], [2], [0]], probs=probs))
    assert loss.item() == pytest.approx(1.0875)


@pytest.mark.parametrize("n_experts", [2, 4, 8])
def test_one_expert_with_all_load_and_probability_reads_e(record, n_experts):
    certain = [[1.0] + [0.0] * (n_experts - 1)] * 6
    assert Switch().loss(record([[0]] * 6, probs=certain)) == n_experts


def test_two_experts_with_all_load_and_probability_read_e_over_k(record):
    halves = [[0.5, 0.5, 0.0, 0.0, 0.0, 0.0]] * 5
    assert Switch().loss(record([[0, 1]] * 5, probs=halves)) == 6 / 2


def test_layers_that_collapse_on_different_experts_do_not_read_one(record):
    n_experts, n_tokens = 4, 5
    certain = torch.eye(n_experts).tolist()
    layers = [record([[i]] * n_tokens, probs=[certain[i]] * n_tokens) for i in range(n_experts)]
    raw = {i: {"switch": Switch().loss(layer)} for i, layer in enumerate(layers)}
    assert weighted(raw, {"switch": 1.0})["switch"] == n_experts
    # All layers' tokens in one pool look balanced: f = P = 1/4.
    chosen = [[i] for i in range(n_experts) for _ in range(n_tokens)]
    pool = record(chosen, probs=[certain[i[0]] for i in chosen])
    assert Switch().loss(pool) == 1


@pytest.mark.parametrize(
    ("n_experts", "live", "value"),
    [
        # m live experts share the load, f = 1/m; each token gives 1 / (E - m + 1) to its expert and to every dead
        # one: a live P is 1 / (m (E - m + 1)), and E * m * f * P = E / (m (E - m + 1)).
        (4, 2, 0.667),  # 4 / (2 * 3)
        (8, 4, 0.400),  # 8 / (4 * 5)
    ],
)
def test_dead_experts_can_read_below_one(n_experts, live, value):
    # The choice wins by .001; the other live experts are out of reach.
    rows = [[-30.0] * live + [0.0] * (n_experts - live) for _ in range(live)]
    for expert, row in enumerate(rows):
        row[expert] = 0.001
    routing = routed(rows)
    assert routing.counts().tolist() == [1] * live + [0] * (n_experts - live)
    assert Switch().loss(routing).item() == pytest.approx(value, abs=1e-3)
    assert metrics.cv(metrics.load(routing.counts().numpy())) == pytest.approx(1)  # sqrt(E/m - 1)


def test_full_collapse_can_read_almost_one():
    # p = (.251, .2497, .2497, .2497) / 1.0001: every token goes to expert 0, and 4 * .251 / 1.0001 = 1.0039
    routing = routed(torch.tensor([[0.251, 0.2497, 0.2497, 0.2497]] * 6).log().tolist())
    assert routing.counts().tolist() == [6, 0, 0, 0]
    assert Switch().loss(routing).item() == pytest.approx(1.0039, abs=5e-5)
    assert metrics.cv(metrics.load([6, 0, 0, 0])) == pytest.approx(1.732, abs=5e-4)  # sqrt(3)


@pytest.mark.parametrize("top_k", [1, 2])
def test_the_gradient_is_that_of_the_closed_form(record, top_k):
    # d loss / d z_tj = E/T p_tj (f_j - sum_i f_i p_ti): f itself has no gradient
    alpha, n_tokens, n_experts = 0.3, 7, 5
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(n_tokens, n_experts, generator=generator, dtype=torch.float64)
    routing = record(z.topk(top_k).indices.tolist(), logits=z.requires_grad_())
    (alpha * Switch().loss(routing)).backward()
    p, f = z.detach().softmax(-1), routing.counts().double() / (top_k * n_tokens)
    expected = alpha * n_experts / n_tokens * p * (f - (f * p).sum(-1, keepdim=True))
    torch.testing.assert_close(z.grad, expected, rtol=1e-6, atol=1e-9)


def test_at_balance_the_value_is_one_and_the_gradient_is_zero(record):
    z = torch.zeros(4, 4, requires_grad=True)
    loss = Switch().loss(record([[0], [1], [2], [3]], logits=z))
    loss.backward()
    assert loss == 1
    assert z.grad.abs().max() < 1e-8


def test_it_sees_a_collapse_of_the_choice_that_importance_does_not(record):
    # Uniform probabilities but for one part in a thousand: the gradient tells, the value does not.
    z = torch.tensor([[0.001, 0.0, 0.0, 0.0]] * 8, requires_grad=True)
    Switch().loss(record([[0]] * 8, logits=z)).backward()
    # 4/8 * 1/4 * (1 - 1/4) = .094 per token
    assert z.grad[:, 0].tolist() == pytest.approx([0.094] * 8, abs=1e-3)


def in_sequences(routing: Routing, n_sequences: int) -> Routing:
    return replace(routing, n_sequences=n_sequences)


def test_two_sequences_that_keep_to_one_expert_each_read_e_by_sequence_and_one_by_batch(record):
    # Per sequence f = P = (1, 0) or (0, 1): 2 * 1 = 2. Together f = P = (1/2, 1/2): 2 * (1/4 + 1/4) = 1.
    routing = record([[0]] * 3 + [[1]] * 3, probs=[[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3)
    assert Switch(scope="sequence").loss(in_sequences(routing, 2)) == 2
    assert Switch(scope="batch").loss(in_sequences(routing, 2)) == 1


def test_sequence_scope_is_the_mean_of_each_sequences_own_loss(record):
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(21, 5, generator=generator, dtype=torch.float64)
    chosen = logits.topk(2, dim=-1).indices
    whole = logits.clone().requires_grad_()
    loss = Switch(scope="sequence").loss(in_sequences(record(chosen.tolist(), logits=whole), 3))
    apart = logits.clone().requires_grad_()
    parts = zip(apart.split(7), chosen.split(7), strict=True)
    losses = [Switch().loss(record(experts.tolist(), logits=z)) for z, experts in parts]
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    loss.backward()
    torch.stack(losses).mean().backward()
    torch.testing.assert_close(whole.grad, apart.grad)
