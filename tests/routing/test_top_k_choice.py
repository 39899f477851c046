import math

import pytest
import torch
from torch import Tensor

from moe_lab.routing.top_k import TopK

from .conftest import STREAM, identity_router, normal


def test_noise_changes_the_choice_and_neither_gates_nor_probabilities():
    x, clean = normal(200, 4), identity_router(4, 1)
    noisy = identity_router(4, 1, noise=2.0)
    calm, shaken = clean(x, STREAM), noisy(x, STREAM)
    assert 0.1 < (calm.expert != shaken.expert).double().mean() < 0.9
    assert torch.equal(calm.router_logits, shaken.router_logits)
    assert torch.equal(calm.router_probs, shaken.router_probs)
    assert torch.equal(shaken.gate, shaken.router_probs[shaken.token, shaken.expert])


def test_there_is_no_noise_in_evaluation():
    x, noisy = normal(200, 4), identity_router(4, 1, noise=2.0).eval()
    assert torch.equal(noisy(x, STREAM).expert, x.argmax(-1))


def test_noise_has_the_scale_that_was_asked_for_and_is_drawn_by_place():
    router, logits = identity_router(4, 1, noise=0.7), normal(20_000, 4)
    noise = router.selection_logits(logits, logits, STREAM) - logits
    # Standard error of a standard deviation over 80,000 draws: .7 / sqrt(160,000) = .00175
    assert abs(noise.std() - 0.7) < 5 * 0.00175
    assert abs(noise.mean()) < 5 * 0.7 / 80_000**0.5
    assert torch.equal(router.selection_logits(logits, logits, STREAM) - logits, noise)
    other = router.selection_logits(logits, logits, STREAM.at(1)) - logits
    assert abs(torch.corrcoef(torch.stack([noise.flatten(), other.flatten()]))[0, 1]) < 0.02


def test_the_choice_passes_no_gradient():
    logits = normal(5, 4).requires_grad_()
    for settings in ({}, {"noise": 1.0}, {"jitter": 0.1}, {"n_groups": 2}):
        router = identity_router(4, 1, **settings)
        assert not router.selection_scores(logits, logits, STREAM).requires_grad


@pytest.mark.parametrize("top_k", [1, 2])
def test_a_zero_router_ties_on_every_token_and_loads_evenly(top_k):
    router, n_tokens = TopK(4, 8, top_k), 4096
    torch.nn.init.zeros_(router.weight)
    routing = router(normal(n_tokens, 4), STREAM)
    assert routing.ties == n_tokens
    # load 1/8 +- sqrt((8 - k) / k / 4096) / 8, at most .0052
    assert (routing.load() - 1 / 8).abs().max() < 5 * 0.0052
    elsewhere = router(normal(n_tokens, 4), STREAM.at(1))
    assert not torch.equal(routing.expert, elsewhere.expert)


def test_a_bias_can_make_and_break_ties():
    # Sigmoid scores of 0 are 1/2 exactly; with the bias they are 1/2, -1/2 and .27 + .23.
    router = identity_router(3, 1, score="sigmoid")
    x = torch.tensor([[0.0, 0.0, -1.0]] * 40)
    assert router(x, STREAM).ties == 40
    assert router(x, STREAM, torch.tensor([1.0, 0.0, 0.0])).ties == 0
    tied = router(x, STREAM, torch.tensor([0.0, -1.0, 0.5 - torch.tensor(-1.0).sigmoid().item()]))
    assert tied.ties == 40
    assert set(tied.expert.tolist()) == {0, 2}


def test_a_bias_is_added_to_scores_and_not_to_logits():
    # p = (.6, .4): a bias of .15 is too little to change the order, one of .25 enough.
    # On logits, which differ by ln 1.5 = .41, both would be too little.
    router, x = identity_router(2, 1), torch.tensor([[0.6, 0.4]]).log()
    assert router(x, STREAM, torch.tensor([0.0, 0.15])).expert == 0
    assert router(x, STREAM, torch.tensor([0.0, 0.25])).expert == 1
    # sigmoid(2) - sigmoid(1) = .881 - .731 = .150
    router, x = identity_router(2, 1, score="sigmoid"), torch.tensor([[2.0, 1.0]])
    assert router(x, STREAM, torch.tensor([0.0, 0.14])).expert == 0
    assert router(x, STREAM, torch.tensor([0.0, 0.16])).expert == 1


def test_large_logits_do_not_tie_though_their_sigmoids_do():
    # In float32 both scores are 1 exactly.
    x = torch.tensor([[30.0, 31.0, 0.0]])
    assert x.sigmoid()[0, 0] == x.sigmoid()[0, 1]
    routing = identity_router(3, 1, score="sigmoid")(x, STREAM)
    assert (routing.expert, routing.ties) == (1, 0)


def test_a_token_chooses_within_its_best_groups():
    # Probabilities of pairs: .40 + .02 against .30 + .28. Without groups expert 0 would be the first.
    x = torch.tensor([[0.40, 0.02, 0.30, 0.28]]).log()
    assert identity_router(4, 2)(x, STREAM).expert.tolist() == [0, 2]
    routing = identity_router(4, 2, n_groups=2, top_groups=1)(x, STREAM)
    assert routing.expert.tolist() == [2, 3]
    torch.testing.assert_close(routing.gate, torch.tensor([0.30, 0.28]))


def test_groups_are_judged_by_scores_and_not_by_logits():
    # Sums of logits ln .40 + ln .02 = -4.8 and ln .29 + ln .10 = -3.5 prefer the second group, of scores the first.
    x = torch.tensor([[0.40, 0.02, 0.29, 0.10]]).log()
    assert identity_router(4, 1, n_groups=2)(x, STREAM).expert == 0


def test_a_bias_can_open_a_group():
    x = torch.tensor([[0.40, 0.02, 0.29, 0.10]]).log()
    router = identity_router(4, 1, n_groups=2)
    assert router(x, STREAM, torch.tensor([0.0, 0.0, 0.0, 0.05])).expert == 2


def test_a_zero_router_ties_between_groups_too():
    router = TopK(4, 8, 1, n_groups=4, top_groups=1)
    torch.nn.init.zeros_(router.weight)
    routing = router(normal(4096, 4), STREAM)
    assert routing.ties == 4096
    assert (routing.load() - 1 / 8).abs().max() < 5 * 0.0052


def test_jitter_is_on_the_routers_copy_and_on_the_choice_alone():
    x = normal(400, 4)
    before = x.clone()
    calm, shaken = identity_router(4, 1)(x, STREAM), identity_router(4, 1, jitter=0.9)(x, STREAM)
    assert torch.equal(x, before)
    assert 0.02 < (calm.expert != shaken.expert).double().mean() < 0.5
    assert torch.equal(calm.router_logits, shaken.router_logits)
    assert torch.equal(shaken.gate, shaken.router_probs[shaken.token, shaken.expert])


def test_jitter_multiplies_each_input_by_a_uniform_factor():
    router, x = identity_router(4, 1, jitter=0.3), normal(20_000, 4)
    factor = router.selection_logits(x, x, STREAM) / x
    assert 0.7 - 1e-6 < factor.min() < 0.701
    assert 1.299 < factor.max() < 1.3 + 1e-6
    # Variance .3^2 / 3 = .03; standard error of the mean over 80,000 draws: sqrt(.03 / 80,000) = .00061
    assert abs(factor.mean() - 1) < 5 * 0.00061
    # Fourth moment .3^4 / 5 = .00162; standard error of the variance sqrt((.00162 - .0009) / 80,000) = .000095
    assert abs((factor - 1).square().mean() - 0.03) < 5 * 0.000095
    assert torch.equal(router.eval().selection_logits(x, x, STREAM), x)


def test_gumbel_noise_of_scale_one_samples_experts_without_replacement():
    # First i, then j among the rest: p_i p_j / (1 - p_i). Gaussian noise of the same variance does not.
    n_tokens, p = 40_000, torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    x = p.log().float().expand(n_tokens, -1)
    expected = torch.outer(p / (1 - p), p).fill_diagonal_(0)
    error = (expected * (1 - expected) / n_tokens).sqrt()

    def deviation(**settings: object) -> Tensor:
        routing = identity_router(4, 2, **settings)(x, STREAM)
        first, second = routing.expert.view(n_tokens, 2).T
        found = torch.bincount(4 * first + second, minlength=16).view(4, 4) / n_tokens
        assert (found.diagonal() == 0).all()
        return ((found - expected).abs() - 5 * error).max()

    assert deviation(noise=1.0, noise_law="gumbel") <= 0
    assert deviation(noise=(math.pi**2 / 6) ** 0.5) > 0
    assert deviation(noise=0.5, noise_law="gumbel") > 0
