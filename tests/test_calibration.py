"""Intervals hold what they should, and tests err, as often as they say: simulated at fixed seeds, or exact."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from moe_lab.statistics import (
    bracket,
    equivalence_p,
    holm,
    interval,
    sign_flip_p,
    threshold,
    wilson,
)


def draws(*shape: int) -> np.ndarray:
    """Standard normal, the same for every call."""
    return np.random.default_rng(0).normal(size=shape)


def slack(rate: float, n: int) -> float:
    """Four standard errors of a rate seen in n simulations."""
    return 4 * sqrt(rate * (1 - rate) / n)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_nineteen_of_twenty_intervals_hold_the_mean(n):
    found = [interval(row) for row in 5.0 + 2.0 * draws(4000, n)]
    held = np.mean([abs(i.mean - 5.0) <= i.half_width for i in found])
    assert abs(held - 0.95) < slack(0.95, 4000)  # .014


@pytest.mark.parametrize("law", ["standard_normal", "standard_cauchy"])
def test_sign_flips_err_at_their_level_under_any_symmetric_law(law):
    # p is a multiple of 2 / 256: at most .05 for 6 of 128 multiples
    values = getattr(np.random.default_rng(0), law)((4000, 8))
    wrong = np.mean([sign_flip_p(row) <= 0.05 for row in values])
    assert abs(wrong - 6 / 128) < slack(6 / 128, 4000)


def test_sign_flips_find_an_effect_of_one_and_a_half_standard_deviations():
    # the paired t test has power .95 here: P(|t(7)| > 2.365) at noncentrality 1.5 sqrt 8 = 4.24
    found = np.mean([sign_flip_p(row + 1.5) <= 0.05 for row in draws(1000, 8)])
    assert found > 0.9


@pytest.mark.parametrize(("null", "real"), [(5, 0), (2, 8)])
def test_holm_rarely_errs_in_a_whole_table(null, real):
    # beside 8 real effects the false discovery procedure errs in 9 % of tables: at .045 for the smaller p, .05 for both
    tables = stats.norm.sf(draws(4000, null))
    wrong = np.mean([min(holm([*row, *[0.0] * real])[:null]) <= 0.05 for row in tables])
    expected = 1 - (1 - 0.05 / null) ** null  # independent, real effects out of the way
    assert abs(wrong - expected) < slack(expected, 4000)


@pytest.mark.parametrize("n", [3, 8])
@pytest.mark.parametrize("side", [-1, 1])
def test_equivalence_errs_at_its_level_on_the_edge(n, side):
    # far inside the other edge one of the two tests is sure, so that the error is .05 and not below
    wrong = np.mean([equivalence_p(row + side * 20, 20.0) <= 0.05 for row in draws(4000, n)])
    assert abs(wrong - 0.05) < slack(0.05, 4000)


def test_equivalence_is_found_within_two_standard_deviations():
    found = np.mean([equivalence_p(row, 2.0) <= 0.05 for row in draws(1000, 8)])
    assert found > 0.95


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_shares_are_covered_19_times_in_20_on_average(n):
    # exact: the mean over p in 0 … 1 of P(k | p) within k's interval is a part of Beta(k + 1, n - k + 1), over n + 1.
    # At n = 3 Wald's covers .50, Clopper and Pearson's .995.
    laws = [(wilson(k, n), stats.beta(k + 1, n - k + 1)) for k in range(n + 1)]
    covered = sum(law.cdf(share.high) - law.cdf(share.low) for share, law in laws) / (n + 1)
    assert abs(covered - 0.95) < 0.015


@pytest.mark.parametrize("n", [3, 6, 9])
@pytest.mark.parametrize("steps", [5, 61])
def test_the_interval_holds_the_median_as_often_as_it_says(n, steps):
    # on a fine axis hardly more often than it says, so that a narrower interval would be noticed
    doses, median = tuple(np.geomspace(1e-4, 1, steps).tolist()), 0.013
    held = []
    for ends in median * np.exp(1.5 * draws(1500, n)):
        found = threshold([bracket(doses, [dose < end for dose in doses]) for end in ends], doses)
        low, high = found.interval.collapsed, found.interval.safe
        held.append((low is None or low <= median) and (high is None or median <= high))
    assert np.mean(held) > found.confidence - slack(found.confidence, 1500)
