import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import metrics


@st.composite
def outputs(draw, *, least: int = 2):
    """What E experts make of the same N tokens, (E, N, D); whole outputs and experts may be 0."""
    shape = (draw(st.integers(least, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 4)))
    size = math.prod(shape)
    values = draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    return np.array(values, dtype=float).reshape(shape) * draw(st.sampled_from([1e-3, 1, 1e3]))


def slow_cosine(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over tokens; 0 where one of the two is 0."""
    cosines = [
        (a @ b) / math.sqrt((a @ a) * (b @ b)) if a.any() and b.any() else 0.0
        for a, b in zip(x, y, strict=True)
    ]
    return sum(cosines) / len(cosines)


def slow_cka(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    lengths = math.sqrt(((x.T @ x) ** 2).sum() * ((y.T @ y) ** 2).sum())
    return float(((y.T @ x) ** 2).sum()) / lengths if lengths > 1e-18 else 0.0


@given(outputs())
def test_similarities_are_their_slow_definitions_and_within_bounds(given_outputs):
    for fast, slow, low in (
        (metrics.output_cosine, slow_cosine, -1),
        (metrics.linear_cka, slow_cka, 0),
    ):
        found = fast(given_outputs)
        expected = [[slow(x, y) for y in given_outputs] for x in given_outputs]
        np.testing.assert_allclose(found, expected, atol=1e-9)
        assert (found >= low - 1e-9).all()
        assert (found <= 1 + 1e-9).all()
        pairs = [expected[i][j] for j in range(len(expected)) for i in range(j)]
        mean = metrics.pairwise_similarity(found)
        assert mean == pytest.approx(sum(pairs) / len(pairs), abs=1e-9)
        # The squared norm of a sum of n unit vectors is not negative.
        assert max(low, -1 / (len(found) - 1)) - 1e-9 <= mean <= 1 + 1e-9


def test_cosines_of_worked_outputs():
    # Two tokens in the plane: (1, 0) twice; the same and a right angle; 45 degrees and nothing.
    experts = np.array([[[1, 0], [1, 0]], [[2, 0], [0, 3]], [[1, 1], [0, 0]]], dtype=float)
    half = math.sqrt(0.5) / 2
    expected = [[1, 0.5, half], [0.5, 1, half], [half, half, 0.5]]
    np.testing.assert_allclose(metrics.output_cosine(experts), expected, atol=1e-12)
    pes = metrics.pairwise_similarity(metrics.output_cosine(experts))
    assert pes == pytest.approx((0.5 + 2 * half) / 3)


def test_an_expert_without_output_is_like_none_and_makes_no_nan():
    silent = np.stack([np.ones((3, 2)), np.zeros((3, 2)), np.full((3, 2), 0.1)])
    assert metrics.output_cosine(silent)[1].tolist() == [0, 0, 0]
    assert (
        metrics.linear_cka(silent).tolist() == np.zeros((3, 3)).tolist()
    )  # constant: no spread either


def test_cka_of_worked_outputs():
    # Centred: x = (-1, 0, 1), y = (1, -2, 1)/3, z = 5x + 7. x.y = 0; cka of one column is the squared correlation.
    x, y = np.array([0.0, 1, 2]), np.array([1.0, 0, 1])
    w = np.array(
        [0.0, 0, 1]
    )  # centred (-1, -1, 2)/3: x.w = 1, x.x = 2, w.w = 2/3: 1 / (2 * 2/3) = 3/4
    found = metrics.linear_cka(np.stack([x, y, 5 * x + 7, w])[:, :, None])
    assert found[0] == pytest.approx([1, 0, 1, 0.75])
    # An orthogonal column of the same length: ||Y'X|| = 2, ||X'X|| = 2, ||Y'Y|| = sqrt(2^2 + 2^2): 4 / (2 sqrt(8))
    both = np.stack([x, y * math.sqrt(3)], axis=1)
    pair = np.stack([np.stack([x, 0 * x], axis=1), both])
    assert metrics.linear_cka(pair)[0, 1] == pytest.approx(math.sqrt(0.5))


def test_cka_is_blind_to_rotation_and_scale_where_the_cosine_is_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 5))
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    pair = np.stack([x, 3 * x @ rotation + 2])
    assert metrics.linear_cka(pair)[0, 1] == pytest.approx(1)
    assert metrics.output_cosine(pair)[0, 1] < 0.9


def test_directions_of_router_rows():
    simplex = np.eye(4) - 1 / 4
    assert metrics.direction_similarity(simplex) == pytest.approx(-1 / 3)  # -1/(E - 1)
    assert metrics.direction_similarity(np.array([[1.0, 0], [5, 0], [0, 2]])) == pytest.approx(
        1 / 3
    )


def slow_collapse(hidden: np.ndarray, experts: np.ndarray) -> float:
    groups = [hidden[experts == e] for e in sorted(set(experts.tolist()))]
    means = [group.mean(0) for group in groups]
    centre = sum(means) / len(means)
    within = sum(np.outer(h - m, h - m) for g, m in zip(groups, means, strict=True) for h in g)
    between = sum(np.outer(m - centre, m - centre) for m in means) / len(means)
    inverse = np.linalg.pinv(between, rcond=1e-10, hermitian=True)
    return float(np.trace(within / len(hidden) @ inverse))


def test_representation_collapse_of_four_tokens():
    hidden, experts = np.array([[0.0], [2], [10], [12]]), np.array([0, 0, 5, 5])
    # Means 1 and 11, each token 1 away: S_W = 1. Means 5 away from theirs: S_B = 25.
    assert metrics.representation_collapse(hidden, experts) == pytest.approx(1 / 25)
    # Spread across the line of the means does not count: it is outside S_B.
    wide = np.hstack([hidden, np.array([[9.0], [-9], [9], [-9]])])
    assert metrics.representation_collapse(wide, experts) == pytest.approx(1 / 25)


def test_representation_collapse_counts_each_expert_once_between():
    # Means 0 and 6 of five tokens and one: S_W = (4 * 1) / 6; their mean is 3, S_B = 9.
    hidden, experts = np.array([[1.0], [-1], [1], [-1], [0], [6]]), np.array([0] * 5 + [1])
    assert metrics.representation_collapse(hidden, experts) == pytest.approx(4 / 6 / 9)


@given(st.integers(2, 4), st.integers(1, 5), st.integers(0, 10**6))
def test_representation_collapse_is_its_slow_definition(n_experts, width, seed):
    rng = np.random.default_rng(seed)
    experts = np.concatenate([np.arange(n_experts), rng.integers(n_experts, size=20)])
    hidden = rng.normal(size=(len(experts), width)) + rng.normal(size=(n_experts, width))[experts]
    found = metrics.representation_collapse(hidden, experts)
    assert found == pytest.approx(slow_collapse(hidden, experts), rel=1e-6)
    assert found >= 0
    turned = 7 * hidden @ np.linalg.qr(rng.normal(size=(width, width)))[0] - 3
    assert metrics.representation_collapse(turned, experts) == pytest.approx(found, rel=1e-6)


def test_representation_collapse_needs_two_experts_that_differ():
    hidden = np.array([[0.1], [0.3], [0.3], [0.1]])
    assert metrics.representation_collapse(hidden, np.array([2, 2, 2, 2])) is None
    assert metrics.representation_collapse(hidden, np.array([0, 0, 1, 1])) is None
