"""What uniformly random routing shows, against routing at random."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import metrics

SIZES = [(8, 1), (64, 2), (12, 3)]  # experts, k


@pytest.mark.parametrize("top_k", [1, 2])
def test_the_floor_is_the_root_mean_square_of_cv_under_random_routing(top_k):
    n_experts, tokens, draws = 8, 48, 4000
    # The k largest of E independent numbers: a uniformly random set of k experts.
    order = np.random.default_rng(0).random((draws, tokens, n_experts)).argsort(-1)
    chosen = order[..., :top_k].reshape(draws, -1)
    counts = (chosen[..., None] == np.arange(n_experts)).sum(1)
    squares = np.array([metrics.cv(metrics.load(row)) ** 2 for row in counts])
    error = squares.std() / math.sqrt(draws)
    assert squares.mean() == pytest.approx(
        metrics.cv_floor(n_experts, top_k, tokens) ** 2, abs=4 * error
    )
    with_repeats = (n_experts - 1) / (top_k * tokens)  # as if a token could pick one twice
    assert (abs(squares.mean() - with_repeats) > 20 * error) == (top_k == 2)


def random_balance(n_experts: int, top_k: int, tokens: int, draws: int) -> dict[str, np.ndarray]:
    """Every statistic of some random loads: how many tokens choose each set of k experts is multinomial."""
    sets = np.array(list(combinations(range(n_experts), top_k)))
    members = (sets[:, :, None] == np.arange(n_experts)).sum(1)
    rng = np.random.default_rng(0)
    counts = rng.multinomial(tokens, [1 / len(sets)] * len(sets), size=draws) @ members
    rows = [metrics.balance(row, top_k=top_k) for row in counts.tolist()]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


MEANS = ("n_eff", "entropy", "collapse_index", "n_eff_simpson", "gini", "effective_capacity")


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_floors_are_means_under_random_routing(n_experts, top_k):
    tokens, draws = 200 * n_experts // top_k, 2000  # 200 assignments per expert
    found = random_balance(n_experts, top_k, tokens, draws)
    floors = metrics.floors(n_experts, top_k, tokens)
    balanced = metrics.balance([1] * n_experts, top_k=top_k)
    for name in MEANS:
        shown = np.abs(found[name] - balanced[name])  # by sampling alone
        error = shown.std() / math.sqrt(draws)
        floor = abs(floors[name] - balanced[name])
        # The next order is smaller by c^2 = (E-k)/(k T), here below 1/200, times a number of order 1.
        assert shown.mean() == pytest.approx(floor, rel=2 / 200, abs=4 * error), name


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_floors_of_cv_are_root_mean_squares(n_experts, top_k):
    tokens, draws = 50, 2000
    found = random_balance(n_experts, top_k, tokens, draws)
    floors = metrics.floors(n_experts, top_k, tokens)
    for name in ("cv", "cv_relative"):
        squares = np.square(found[name])
        error = squares.std() / math.sqrt(draws)
        assert squares.mean() == pytest.approx(floors[name] ** 2, abs=4 * error)
    assert floors["cv_relative"] == 1 / math.sqrt(50)


@pytest.mark.parametrize(("n_experts", "top_k"), SIZES)
def test_floors_of_extremes_are_seldom_passed(n_experts, top_k):
    tokens, draws = 4000 * n_experts // top_k, 2000  # 4000 assignments per expert: nearly normal
    found = random_balance(n_experts, top_k, tokens, draws)
    floors = metrics.floors(n_experts, top_k, tokens)
    seldom = 1 / math.sqrt(4 * math.pi * math.log(n_experts))
    error = math.sqrt(seldom * (1 - seldom) / draws)
    assert found["max_violation"].mean() < floors["max_violation"]
    for passed in (
        found["max_violation"] > floors["max_violation"],
        found["min_over_mean"] < floors["min_over_mean"],
    ):
        # A normal deviate is seldom so large, and 3/5 of that bound are left at E = 8 (8 * .0207, dependence off).
        assert seldom / 2 < passed.mean() < seldom + 4 * error


def test_worked_floors():
    # E = 8, k = 1, T = 1024: c = sqrt(7 / 1024) = .0827; sqrt(2 ln 8) = 2.0393; exp(-c^2 / 2) = .99659
    assert metrics.floors(8, 1, 1024) == pytest.approx(
        {
            "cv": 0.0827,
            "max_violation": 0.1686,
            "n_eff": 7.9727,
            "entropy": 0.9984,  # 1 - .003418 / 2.0794
            "collapse_index": 0.0039,  # (8 - 7.9727) / 7
            "cv_relative": 0.03125,  # 1 / 32
            "min_over_mean": 0.8314,
            "n_eff_simpson": 7.9457,  # 8 / 1.006836
            "gini": 0.0436,  # .0827 * sqrt(7 / 8 / pi) = .0827 * .5278
            "effective_capacity": 0.9670,  # 1 - .0827 / 2.5066
        },
        abs=5e-5,
    )


@given(st.integers(2, 300), st.integers(1, 300), st.integers(1, 10**6))
def test_every_statistic_has_a_floor_within_its_range(n_experts, top_k, tokens):
    top_k = min(top_k, n_experts)
    floors = metrics.floors(n_experts, top_k, tokens)
    fair = metrics.balance([tokens * top_k] * n_experts, top_k=top_k)
    collapsed = metrics.balance([tokens] * top_k + [0] * (n_experts - top_k), top_k=top_k)
    measured = {name for name, value in fair.items() if value is not None}
    assert set(floors) == measured - {"assignments", "cv_floor"}
    for name, floor in floors.items():
        low, high = sorted((fair[name], collapsed[name]))
        assert low - 1e-9 <= floor <= high + 1e-9, name
