from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import metrics
from moe_lab.metrics.pairs import pair_probabilities

from .conftest import choices


def test_coactivation_of_three_tokens():
    chosen = np.array([[0, 1], [1, 0], [2, 0]])
    assert metrics.coactivation_counts(chosen, 4).tolist() == [
        [3, 2, 1, 0],
        [2, 2, 0, 0],
        [1, 0, 1, 0],
        [0, 0, 0, 0],
    ]
    expected = [[1, 2 / 3, 1 / 3, 0], [1, 1, 0, 0], [1, 0, 1, 0], [np.nan] * 4]
    np.testing.assert_allclose(metrics.coactivation(chosen, 4), expected)


@given(choices())
def test_coactivation_is_its_slow_definition_and_within_bounds(drawn):
    chosen, n_experts = drawn
    slow = [
        [sum(i in token and j in token for token in chosen.tolist()) for j in range(n_experts)]
        for i in range(n_experts)
    ]
    assert metrics.coactivation_counts(chosen, n_experts).tolist() == slow
    live = np.diagonal(slow) > 0
    found = metrics.coactivation(chosen, n_experts)
    assert np.isnan(found[~live]).all()
    assert ((found[live] >= 0) & (found[live] <= 1)).all()
    np.testing.assert_allclose(found[live].sum(1), chosen.shape[1])  # 1 for itself, k-1 for others
    np.testing.assert_array_equal(found.diagonal()[live], 1)


def excess(chosen: np.ndarray, n_experts: int) -> metrics.PairExcess | None:
    counts = metrics.coactivation_counts(chosen, n_experts)
    return metrics.coactivation_excess(counts, top_k=chosen.shape[1])


def test_fixed_teams_are_as_far_from_chance_as_can_be():
    # E = 6, k = 2: three pairs of 1/3 each, by load 1/15 each: what has to move is 1 - 3/15 = 1 - (k-1)/(E-1).
    teams = np.array([[0, 1], [2, 3], [4, 5]] * 40)
    assert excess(teams, 6).excess == pytest.approx(1 - 1 / 5)
    # E = 6, k = 3: two teams of 3 pairs. 1 - (k-1)/(E-1) = 1 - 2/5
    assert excess(np.array([[0, 1, 2], [3, 4, 5]] * 40), 6).excess == pytest.approx(1 - 2 / 5)


def test_all_sets_equally_often_have_no_excess():
    found = excess(np.array(list(combinations(range(7), 3)) * 20), 7)
    assert found.excess == pytest.approx(0, abs=1e-12)
    assert 0 < found.floor < 0.1


@pytest.mark.parametrize("certain", [1, 2])
def test_an_expert_that_every_token_uses_is_no_excess(certain):
    # Its pairs are all that there are: (k-1)/(E-1) would call them co-activation.
    others = np.arange(60)[:, None] % 5 + certain
    chosen = np.hstack([np.broadcast_to(np.arange(certain), (60, certain)), others])
    assert excess(chosen, 8) == metrics.PairExcess(0, 0)


@given(choices(least_k=2))
def test_excess_is_a_share_and_blank_where_there_is_no_choice_of_pairs(drawn):
    chosen, n_experts = drawn
    found = excess(chosen, n_experts)
    if chosen.shape[1] == n_experts:
        assert found is None
        return
    assert 0 <= found.excess < 1
    assert 0 <= found.floor <= 1
    if chosen.shape[1] == n_experts - 1:  # each expert's load says how often it was left out
        assert found.excess == pytest.approx(0, abs=1e-9)
        assert found.floor == pytest.approx(0, abs=1e-9)


def test_one_expert_per_token_has_no_pairs():
    assert metrics.coactivation_excess(np.diag([3, 1]), top_k=1) is None


@given(st.integers(2, 7), st.integers(1, 6), st.lists(st.floats(-7, 7), min_size=7, max_size=7))
def test_pair_probabilities_are_those_of_weighted_sets(n_experts, size, logs):
    size = min(size, n_experts - 1)
    weights = np.exp(logs[:n_experts])
    pairs = np.zeros((n_experts, n_experts))
    for chosen in combinations(range(n_experts), size):
        pairs[np.ix_(chosen, chosen)] += np.prod(weights[list(chosen)])
    pairs /= pairs.trace() / size
    chances = pairs.diagonal()
    if chances.min() > 1e-6 and chances.max() < 1 - 1e-6:
        np.testing.assert_allclose(pair_probabilities(chances), pairs, atol=1e-9)


def random_choices(weights: np.ndarray, top_k: int, tokens: int, seed: int) -> np.ndarray:
    """Sets of k experts, a set as likely as the product of its weights: the law of the null."""
    sets = np.array(list(combinations(range(len(weights)), top_k)))
    products = weights[sets].prod(1)
    picks = np.random.default_rng(seed).choice(len(sets), size=tokens, p=products / products.sum())
    return sets[picks]


@pytest.mark.parametrize(("n_experts", "top_k", "skew"), [(12, 2, 0), (12, 3, 0), (12, 3, 1), (10, 4, 2)])  # fmt: skip
def test_choices_that_follow_load_alone_show_the_floor(n_experts, top_k, skew):
    weights = np.exp(skew * np.linspace(-1, 1, n_experts))
    draws = [excess(random_choices(weights, top_k, 3000, seed), n_experts) for seed in range(40)]
    found = np.array([draw.excess for draw in draws])
    error = found.std() / np.sqrt(len(found))
    # Uniform: right but for what is not normal, under 1 % at 45 tokens a pair. Skewed: a little too high.
    floor = float(np.mean([draw.floor for draw in draws]))
    assert (
        (0.99 if skew == 0 else 0.75) * floor - 4 * error < found.mean() < 1.01 * floor + 4 * error
    )


def test_the_floor_of_six_equally_likely_pairs():
    # E = 4, k = 2, T = 600: each of 12 ordered pairs expects 100, with variance 100 * 2 * 1 / (3 * 2) = 100 / 3
    # 12 * sqrt(2 / pi * 100 / 3) / (2 * 600 * 2) = 1 / sqrt(600 pi) = .02303
    counts = np.full((4, 4), 100)
    np.fill_diagonal(counts, 300)
    found = metrics.coactivation_excess(counts, top_k=2)
    assert found.excess == pytest.approx(0, abs=1e-9)
    assert found.floor == pytest.approx((600 * np.pi) ** -0.5, rel=1e-6)
