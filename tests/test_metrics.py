import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lab import columns, metrics


@pytest.mark.parametrize(
    ("shares", "cv", "max_violation", "entropy", "n_eff"),
    [
        # 65 / <1 / 34 / <1 %, read as .65, .005, .34, .005.
        # sum q^2 = .4225 + .1156 + 2 * .000025 = .53815; cv = sqrt(4 * .53815 - 1) = 1.0736
        # max_violation = 4 * .65 - 1; H = .2800 + .3668 + 2 * .02649 = .6998, / ln 4 = .5048
        pytest.param([65, 0.5, 34, 0.5], 1.0736, 1.60, 0.505, 2.01, id="two experts of four"),
        # sum q^2 = .24^2 + .26^2 + 2 * .25^2 = .2502; cv = sqrt(4 * .2502 - 1) = sqrt(.0008)
        pytest.param([24, 26, 25, 25], 0.0283, 0.04, 1.000, 4.00, id="healthy four"),
        # q = 2/12 and 1/12: mean 1/8 = 1.5/12; deviation .5/12; cv = .5 / 1.5 = 1/3; 8 * 2/12 - 1
        pytest.param([2] * 4 + [1] * 4, 1 / 3, 1 / 3, 0.973, 7.56, id="half and half, 2:1"),
        # q = .10 and .15: cv = .025 / .125 = .20; 8 * .15 - 1 = .20
        # H = -.4 ln .10 - .6 ln .15 = .9210 + 1.1383 = 2.0593; exp H = 7.84; / ln 8 = .990
        pytest.param([0.10] * 4 + [0.15] * 4, 0.20, 0.20, 0.990, 7.84, id="10 to 15 percent"),
    ],
)
def test_worked_values(shares, cv, max_violation, entropy, n_eff):
    q = metrics.load(shares)
    assert metrics.cv(q) == pytest.approx(cv, abs=5e-5)
    assert metrics.max_violation(q) == pytest.approx(max_violation, abs=1e-12)
    assert metrics.entropy(q) == pytest.approx(entropy, abs=5e-4)
    assert metrics.n_eff(q) == pytest.approx(n_eff, abs=5e-3)


@pytest.mark.parametrize(("n_experts", "top_k"), [(2, 1), (8, 1), (8, 2), (5, 3), (64, 8)])
def test_both_ends_of_the_scale_are_reached(n_experts, top_k):
    fair = metrics.balance([100] * n_experts, top_k=top_k)
    assert (fair["cv"], fair["max_violation"], fair["collapse_index"]) == pytest.approx((0, 0, 0))
    assert (fair["n_eff"], fair["entropy"]) == pytest.approx((n_experts, 1))
    # Every token picks the same k experts.
    worst = metrics.balance([100] * top_k + [0] * (n_experts - top_k), top_k=top_k)
    assert worst["cv"] == pytest.approx(math.sqrt(n_experts / top_k - 1))
    assert worst["max_violation"] == pytest.approx(n_experts / top_k - 1)
    assert (worst["n_eff"], worst["collapse_index"]) == pytest.approx((top_k, 1))
    assert worst["entropy"] == pytest.approx(math.log(top_k) / math.log(n_experts))


def test_a_balanced_load_reads_exactly_zero_cv():
    assert all(metrics.cv(metrics.load([7] * n_experts)) == 0 for n_experts in range(2, 100))


@st.composite
def routed_counts(draw):
    """Counts of some tokens that pick k distinct experts each."""
    n_experts = draw(st.integers(2, 7))
    top_k = draw(st.integers(1, n_experts))
    choices = st.permutations(range(n_experts)).map(lambda order: order[:top_k])
    tally = Counter(expert for token in draw(st.lists(choices, min_size=1)) for expert in token)
    return [tally[i] for i in range(n_experts)], top_k


@settings(deadline=None)
@given(routed_counts())
def test_every_number_stays_in_its_range(drawn):
    counts, top_k = drawn
    n_experts, found = len(counts), metrics.balance(counts, top_k=top_k)
    slack = 1e-9
    assert found["assignments"] == sum(counts)
    assert 0 <= found["cv"] <= math.sqrt(n_experts / top_k - 1) + slack
    assert -slack <= found["max_violation"] <= n_experts / top_k - 1 + slack
    assert -slack <= found["entropy"] <= 1 + slack
    assert top_k - slack <= found["n_eff"] <= n_experts + slack
    if top_k == n_experts:
        assert found["collapse_index"] is None
    else:
        assert -slack <= found["collapse_index"] <= 1 + slack


def test_the_balance_of_counts_fills_columns_of_cv_csv():
    found = metrics.balance([3, 1], top_k=1)
    assert set(found) <= set(columns.names(columns.CV))
    assert found["assignments"] == 4
    assert found["cv_floor"] == 0.5  # sqrt((2 - 1) / (1 * 4))


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


def test_mean_and_worst():
    assert metrics.mean_and_worst([0.25, 1.0, 0.25]) == (0.5, 1.0)


def by_sequence(labels: np.ndarray) -> np.ndarray:
    """One label per sequence, for each of its 16 tokens."""
    return np.repeat(labels[:, None], 16, axis=1)


def plug_in(experts: np.ndarray, domains: np.ndarray) -> float:
    table = metrics.joint_counts(experts, domains, (8, 8))
    return metrics.mutual_information(table) / math.log(8)


def shuffles(n_sequences: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.permutation(n_sequences) for _ in range(30)]


def test_mutual_information_of_small_tables():
    assert metrics.mutual_information(np.array([[5, 0], [0, 5]])) == pytest.approx(math.log(2))
    assert metrics.mutual_information(np.array([[6, 2], [3, 1]])) == pytest.approx(0)
    # p = 1/2, 1/4, 1/4; marginals 3/4, 1/4 both ways: 1/2 ln(8/9) + 2 * 1/4 ln(4/3) = .0849
    assert metrics.mutual_information(np.array([[2, 1], [1, 0]])) == pytest.approx(0.0849, abs=5e-5)


def test_joint_counts_are_a_table_of_pairs():
    experts, domains = np.array([[0, 1], [1, 1]]), np.array([[0, 0], [2, 2]])
    assert metrics.joint_counts(experts, domains, (2, 3)).tolist() == [[1, 0, 0], [1, 0, 2]]


def test_nmi_is_one_when_the_expert_tells_the_domain_up_to_the_null():
    domains = by_sequence(np.arange(4096) % 8)
    experts = (domains + 3) % 8  # any naming of the experts
    # Null: (8 - 1)^2 / (2 * 4096 sequences) = .0060 nats, / ln 8 = .0029
    found = metrics.nmi(experts, domains, shuffles(4096), (8, 8))
    assert found == pytest.approx(1 - 0.0029, abs=0.001)


def test_nmi_of_experts_that_ignore_the_domain_is_zero_where_the_plug_in_is_not():
    # Each sequence uses one expert, chosen blindly: its 16 tokens are one observation. To first order the plug-in
    # reads (8 - 1)^2 / (2 * 128) / ln 8 = .092; a null that shuffled single tokens would remove a 16th of it.
    rng = np.random.default_rng(0)
    domains = [by_sequence(rng.integers(8, size=128)) for _ in range(20)]
    experts = [by_sequence(rng.integers(8, size=128)) for _ in range(20)]
    pairs = list(zip(experts, domains, strict=True))
    biased = [plug_in(*pair) for pair in pairs]
    found = [metrics.nmi(*pair, shuffles(128), (8, 8)) for pair in pairs]
    assert np.mean(biased) == pytest.approx(0.092, rel=0.3)
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(20)
    assert abs(np.mean(found)) < 0.02
