import itertools
import subprocess
import sys
import tracemalloc
from math import sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from moe_lab.statistics import (
    Interval,
    equivalence_p,
    holm,
    interval,
    paired,
    sign_flip_p,
    sign_flip_ps,
    signs,
    wilson,
)

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


def test_statistics_need_neither_torch_nor_the_second_that_scipy_stats_takes():
    program = (
        "import sys; from moe_lab.statistics import *\n"
        "heavy = lambda *names: [name for name in names if name in sys.modules]\n"
        "assert not heavy('torch', 'pandas', 'scipy')\n"
        "interval([1, 2]), wilson(1, 2), equivalence_p([1, 2], 3), sign_flip_p(range(6))\n"
        "assert not heavy('torch', 'pandas', 'scipy.stats')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# Means and paired differences


def test_four_seeds():
    # mean 2.5, s = sqrt(5/3) = 1.29099, t(0.975, 3) = 3.18245: 3.18245 * 1.29099 / 2 = 2.05426
    # with the population's s, sqrt(5/4) = 1.11803, it were 1.77904; with the normal 1.95996, 1.26516
    found = interval([1, 2, 3, 4])
    assert (found.mean, found.n) == (2.5, 4)
    assert found.half_width == pytest.approx(2.05426, abs=1e-5)


def test_one_seed_has_no_interval_and_prints_none():
    assert interval([3.0]) == Interval(3.0, None, 1)
    assert str(interval([3.14159])) == "3.142"
    assert str(interval([1, 2, 3, 4])) == "2.5 +/- 2.1"


@pytest.mark.parametrize(
    ("mean", "half_width", "shown"),
    [
        (-0.0059149, 0.0098123, "-0.0059 +/- 0.0098"),  # no more decimals than are known
        (0.45, 0.0694, "0.450 +/- 0.069"),  # and no fewer
        (12.3456, 0.0999, "12.346 +/- 0.100"),
        (1234.5, 321.0, "1234 +/- 321"),
        (2.5, 0.0, "2.5 +/- 0"),
        (2.5, 1e-16, "2.5 +/- 0"),  # rounding of equal values
    ],
)
def test_a_mean_has_as_many_decimals_as_its_half_width(mean: float, half_width: float, shown: str):
    assert str(Interval(mean, half_width, 3)) == shown


def test_pairs_remove_what_seeds_share():
    # differences 1, 1.5, .5: mean 1, s .5, t(0.975, 2) = 4.30265: 4.30265 * .5 / sqrt 3 = 1.24207
    # unpaired, the spread of either arm alone, about 545, gives +/- 1,235
    found = paired([11, 102.5, 1000.5], [10, 101, 1000])
    assert found.mean == pytest.approx(1)
    assert found.half_width == pytest.approx(1.24207, abs=1e-4)


def test_arms_of_different_length_are_refused():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        paired([1, 2], [1, 2, 3])


@pytest.mark.parametrize("n", [2, 3, 8, 40])
def test_paired_intervals_are_those_of_scipy(n):
    arm, baseline = np.random.default_rng(0).normal(size=(2, n))
    oracle = stats.ttest_rel(arm, baseline).confidence_interval(0.95)
    found = paired(arm, baseline)
    assert found.mean - found.half_width == pytest.approx(oracle.low, rel=1e-9)
    assert found.mean + found.half_width == pytest.approx(oracle.high, rel=1e-9)


@given(NUMBERS, st.floats(-100, 100), st.floats(0.01, 100))
def test_the_interval_moves_and_stretches_with_its_values(values, shift, scale):
    plain, other = interval(values), interval([scale * v + shift for v in values])
    assert other.mean == pytest.approx(scale * plain.mean + shift, rel=1e-6, abs=1e-6)
    assert other.half_width == pytest.approx(scale * plain.half_width, rel=1e-6, abs=1e-6)


def test_signs_leave_zero_out():
    assert signs([-2.0, 0.0, 3.0, -0.1]) == (2, 1)


# Sign flips


def test_sign_flips_are_counted_by_hand():
    # |21 - 2 S| >= 9 for a flipped part of sum S <= 6 or >= 15. Subsets of 1 … 6 with sum 0 … 6: 1 1 1 2 2 3 4 = 14,
    # and as many from 15 to 21: 28 of 64. One-sided 14 of 64, as is the sign test's 2 (1 + 6) / 64.
    assert sign_flip_p([1, 2, 3, 4, 5, -6]) == 28 / 64


def test_sign_flips_weigh_sizes_not_ranks():
    # |15 - 2 S| >= 5 for every S: 0 … 5 without the ten, 10 … 15 with it. On ranks (Wilcoxon) 34 of 64.
    assert sign_flip_p([1, 1, 1, 1, 1, -10]) == 1


@pytest.mark.parametrize("n", [6, 8, 16])
def test_the_smallest_p_is_two_patterns(n):
    assert sign_flip_p([0.1 + i for i in range(n)]) == 2 / 2**n


def test_five_differences_have_no_p():
    assert sign_flip_p([1, 1, 1, 1, 1]) is None


@pytest.mark.parametrize("n", [6, 16, 17])
def test_no_difference_anywhere_is_no_evidence(n):
    assert sign_flip_p([0.0] * n) == 1


@pytest.mark.parametrize("n", [6, 7, 11])
def test_sign_flips_are_those_of_scipy(n):
    values = np.random.default_rng(0).normal(0.3, size=n)
    oracle = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(values) == oracle.pvalue


@given(st.lists(st.integers(-20, 20), min_size=6, max_size=9))
def test_rounding_breaks_no_tie(values):
    patterns = np.array(list(itertools.product((1, -1), repeat=len(values))))
    exact = float(np.mean(np.abs(patterns @ values) >= abs(sum(values))))
    assert sign_flip_p(values) == exact
    assert sign_flip_p([value / 10 for value in values]) == exact
    assert sign_flip_p([-value / 3 for value in reversed(values)]) == exact


def test_drawn_flips_agree_with_all_and_never_change():
    values = np.random.default_rng(0).normal(0.4, size=17)
    patterns = np.array(list(itertools.product((1, -1), repeat=17)))
    exact = float(np.mean(np.abs(patterns @ values) >= abs(values.sum())))
    found = sign_flip_p(values)
    assert abs(found - exact) < 4 * sqrt(exact * (1 - exact) / 100_000)
    assert found == sign_flip_p(values)


def test_drawn_flips_never_reach_zero():
    assert sign_flip_p([1.0] * 40) == 1 / 100_001


def test_drawn_flips_reach_every_sign():
    # more signs than a word of 64 bits has; zeros do not matter, and six equal differences have p = 2 / 64
    found = sign_flip_p([0.0] * 64 + [1.0] * 6)
    assert abs(found - 2 / 64) < 4 * sqrt(2 / 64 * 62 / 64 / 100_000)


def test_arms_of_other_lengths_do_not_change_each_other():
    drawn = np.random.default_rng(0)
    arms = [list(drawn.normal(0.3, size=n)) for n in (7, 40, 5, 7, 40, 300)]
    assert sign_flip_ps(arms) == [sign_flip_p(arm) for arm in arms]
    assert sign_flip_ps([]) == []


def test_flips_of_a_thousand_seeds_take_little_memory():
    # all patterns at once: 100,000 x 1,000 signs in double precision are 800 MB; a block of 256 takes 2
    tracemalloc.start()
    sign_flip_p(np.random.default_rng(0).normal(size=1000))
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


# Several tests read together


def test_holm_steps_down():
    # sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, then never below the one before: .06 for the last.
    # Bonferroni: .04 .16 .12 .02. Hochberg: .03 .04 .04 .02. Benjamini and Hochberg: .02 .04 .04 .02.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_counts_only_what_was_tested():
    assert holm([None, 0.02, None, 0.03]) == [None, 0.04, None, 0.04]
    assert holm([None, None]) == [None, None]
    assert holm([]) == []


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert [a is None for a in adjusted] == [p is None for p in p_values]
    pairs = sorted((p, a) for p, a in zip(p_values, adjusted, strict=True) if p is not None)
    assert all(p <= a <= min(1, len(pairs) * p) for p, a in pairs)
    assert [a for _, a in pairs] == sorted(a for _, a in pairs)


# Equivalence


def test_equivalence_by_hand():
    # mean 2, s = 1: t = (2 - 4) / (1 / sqrt 3) = -3.46410; with 2 degrees of freedom P = 1/2 + t / (2 sqrt(2 + t²))
    # = .5 - 3.46410 / (2 * 3.74166) = .03709. Two-sided .07418; with the population's s .02567; the other side .00457.
    assert equivalence_p([1, 2, 3], 4) == pytest.approx(0.03709, abs=1e-5)
    assert equivalence_p([-1, -2, -3], 4) == equivalence_p([1, 2, 3], 4)


def test_equal_differences_are_inside_the_margin_or_not():
    assert [equivalence_p([d, d], 1.0) for d in (0.5, -0.5, 1.0, 1.5)] == [0, 0, 1, 1]


def test_one_difference_shows_no_equivalence():
    assert equivalence_p([0.0], 1.0) is None


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=30), st.floats(0.01, 100))
def test_equivalence_is_the_worse_of_two_one_sided_tests(values, margin):
    assume(len(set(values)) > 1)
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    assert equivalence_p(values, margin) == pytest.approx(max(below, above), rel=1e-6, abs=1e-12)


@given(NUMBERS, st.floats(0.01, 1e3))
def test_equivalence_is_a_probability_and_a_wider_margin_helps(values, margin):
    assert 0 <= equivalence_p(values, 2 * margin) <= equivalence_p(values, margin) <= 1


# Shares


def test_three_of_three_leaves_much_open():
    # z² = 3.84146: (3 + 1.92073 - 1.95996 * sqrt(.96036)) / 6.84146 = 3 / 6.84146 = .43850. Wald would say 1 to 1.
    assert wilson(3, 3).low == pytest.approx(0.43850, abs=1e-5)
    assert str(wilson(3, 3)) == "3/3 (0.44 to 1)"
    assert str(wilson(0, 3)) == "0/3 (0 to 0.56)"


def test_one_of_four():
    # centre 2.92073 / 7.84146 = .37247; half 1.95996 * sqrt(.75 + .96036) / 7.84146 = .32689.
    # Wald: -.174 to .674. Clopper and Pearson: .006 to .806. At z = 1.64485: .058 to .644.
    found = wilson(1, 4)
    assert (found.low, found.high) == pytest.approx((0.04559, 0.69936), abs=1e-5)


def test_no_runs_say_nothing():
    assert str(wilson(0, 0)) == "0/0 (0 to 1)"


@pytest.mark.parametrize("n", [1, 3, 8, 100])
def test_shares_are_those_of_scipy(n):
    for k in range(n + 1):
        oracle = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        found = wilson(k, n)
        assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), rel=1e-12)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval_and_the_interval_in_0_to_1(counts):
    k, n = counts
    found, mirrored, more = wilson(k, n), wilson(n - k, n), wilson(4 * k, 4 * n)
    assert 0 <= found.low <= k / n <= found.high <= 1
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high))
    assert more.high - more.low < found.high - found.low
