import math

import numpy as np
import pytest
from hypothesis import given

from moe_lab import columns, metrics

from .conftest import choices


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
    used = top_k / n_experts
    names = ("cv_relative", "min_over_mean", "n_eff_simpson", "gini", "effective_capacity")
    assert [fair[name] for name in names] == pytest.approx([0, 1, n_experts, 0, 1])
    assert [worst[name] for name in names] == pytest.approx([1, 0, top_k, 1 - used, used])


@pytest.mark.parametrize(
    ("counts", "cv_relative", "min_over_mean", "simpson", "gini", "capacity"),
    [
        # The loads .65, .005, .34, .005 again: sum q^2 = .53815. cv / sqrt(3) = 1.0736 / 1.7321
        # 4 * .005; 1 / .53815; ascending (-3 - 1) * .005 + .34 + 3 * .65 = 2.27, / 4; (.02 + .02 + 1 + 1) / 4
        pytest.param([130, 1, 68, 1], 0.6198, 0.02, 1.8582, 0.5675, 0.51, id="two of four"),
        # q = 2/12 and 1/12: cv = 1/3, / sqrt(7); 8 / 12; 1 / (4 * 4/144 + 4/144) = 144/20
        # (-7 - 5 - 3 - 1) / 12 + (1 + 3 + 5 + 7) * 2 / 12 = 16/12, / 8; (4 + 4 * 8/12) / 8
        pytest.param([2] * 4 + [1] * 4, 0.1260, 2 / 3, 7.2, 1 / 6, 5 / 6, id="2:1"),
    ],
)
def test_worked_values_of_the_other_statistics(
    counts, cv_relative, min_over_mean, simpson, gini, capacity
):
    found = metrics.balance(counts, top_k=1)
    assert found["cv_relative"] == pytest.approx(cv_relative, abs=5e-5)
    assert found["min_over_mean"] == pytest.approx(min_over_mean)
    assert found["n_eff_simpson"] == pytest.approx(simpson, abs=5e-5)
    assert found["gini"] == pytest.approx(gini)
    assert found["effective_capacity"] == pytest.approx(capacity)


def test_a_published_cv_of_three_leaves_25_of_256_experts():
    # E = 256, k = 4, cv = 3.01 as 16 experts high, 240 low: E q = 1 + 3.01 sqrt(15) and 1 - 3.01 / sqrt(15).
    high, low = 1 + 3.01 * math.sqrt(15), 1 - 3.01 / math.sqrt(15)
    q = metrics.load([high] * 16 + [low] * 240)
    assert metrics.cv(q) == pytest.approx(3.01)
    assert metrics.n_eff_simpson(q) == pytest.approx(25.4, abs=0.05)  # 256 / (1 + 9.0601) = 25.447
    assert metrics.cv_max(256, 4) == pytest.approx(math.sqrt(63))
    assert metrics.cv_relative(q, top_k=4) == pytest.approx(3.01 / math.sqrt(63))


def test_a_balanced_load_reads_exactly_zero():
    for q in (metrics.load([7] * n_experts) for n_experts in range(2, 100)):
        assert (metrics.cv(q), metrics.gini(q), metrics.effective_capacity(q)) == (0, 0, 1)


def test_max_violation_is_blind_to_the_dead_that_min_over_mean_sees():
    alive, dead = metrics.load([2, 1, 1, 1, 1, 1, 0.9, 0.1]), metrics.load([2, 1, 1, 1, 1, 1, 1, 0])
    assert metrics.max_violation(alive) == pytest.approx(metrics.max_violation(dead))
    assert metrics.min_over_mean(alive) == pytest.approx(0.1)
    assert metrics.min_over_mean(dead) == 0


@given(choices())
def test_every_number_stays_in_its_range(drawn):
    chosen, n_experts = drawn
    top_k, slack = chosen.shape[1], 1e-9
    counts = np.bincount(chosen.ravel(), minlength=n_experts).tolist()
    found = metrics.balance(counts, top_k=top_k)
    assert found.pop("assignments") == sum(counts)
    assert found.pop("cv_floor") == metrics.cv_floor(n_experts, top_k, len(chosen))
    used = top_k / n_experts
    ranges = {
        "cv": (0, math.sqrt(1 / used - 1)),
        "max_violation": (0, 1 / used - 1),
        "n_eff": (top_k, n_experts),
        "entropy": (math.log(top_k) / math.log(n_experts), 1),
        "collapse_index": (0, 1),
        "cv_relative": (0, 1),
        "min_over_mean": (0, 1),
        "n_eff_simpson": (top_k, found["n_eff"]),
        "gini": (0, 1 - used),
        "effective_capacity": (used, 1),
    }
    blank = {"collapse_index", "cv_relative"} if used == 1 else set()
    assert {name for name, value in found.items() if value is None} == blank
    assert found.keys() == ranges.keys()
    for name in ranges.keys() - blank:
        low, high = ranges[name]
        assert low - slack <= found[name] <= high + slack, name


@given(choices())
def test_each_statistic_is_its_definition(drawn):
    chosen, n_experts = drawn
    counts = np.bincount(chosen.ravel(), minlength=n_experts).tolist()
    q = metrics.load(counts)
    differences = [abs(a - b) for a in counts for b in counts]
    assert metrics.gini(q) == pytest.approx(
        sum(differences) / n_experts**2 / 2 / (sum(counts) / n_experts), abs=1e-12
    )
    used = [min(1, n_experts * n / sum(counts)) for n in counts]
    assert metrics.effective_capacity(q) == pytest.approx(sum(used) / n_experts, abs=1e-12)
    simpson = n_experts / (1 + metrics.cv(q) ** 2)
    assert metrics.n_eff_simpson(q) == pytest.approx(simpson, rel=1e-12)


def test_the_balance_of_counts_fills_columns_of_cv_csv():
    found = metrics.balance([3, 1], top_k=1)
    assert set(found) <= set(columns.names(columns.CV))
    assert found["assignments"] == 4
    assert found["cv_floor"] == 0.5  # sqrt((2 - 1) / (1 * 4))


def test_mean_and_worst():
    assert metrics.mean_and_worst([0.25, 1.0, 0.25]) == (0.5, 1.0)
