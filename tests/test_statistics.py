from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.statistics import interval, paired

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


def test_four_seeds():
    # mean 2.5, s = sqrt(5/3) = 1.29099, t(0.975, 3) = 3.18245: 3.18245 * 1.29099 / 2 = 2.05426
    found = interval([1, 2, 3, 4])
    assert (found.mean, found.n) == (2.5, 4)
    assert found.half_width == pytest.approx(2.05426, abs=1e-5)


def test_one_seed_has_no_interval():
    assert interval([3.0]).half_width is None
    assert str(interval([3.0])) == "3 (n = 1: an anecdote)"


def test_pairs_remove_what_seeds_share():
    # differences 1, 1.5, .5: mean 1, s .5, t(0.975, 2) = 4.30265: 4.30265 * .5 / sqrt 3 = 1.24207
    found = paired([11, 102.5, 1000.5], [10, 101, 1000])
    assert found.mean == pytest.approx(1)
    assert found.half_width == pytest.approx(1.24207, abs=1e-4)


def test_arms_of_different_length_are_refused():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        paired([1, 2], [1, 2, 3])


@given(NUMBERS, st.floats(-100, 100), st.floats(0.01, 100))
def test_the_interval_moves_and_stretches_with_its_values(values, shift, scale):
    plain, other = interval(values), interval([scale * v + shift for v in values])
    assert other.mean == pytest.approx(scale * plain.mean + shift, rel=1e-6, abs=1e-6)
    assert other.half_width == pytest.approx(scale * plain.half_width, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_nineteen_of_twenty_intervals_hold_the_mean(n):
    # 4,000 intervals: the standard error of a coverage of .95 is sqrt(.95 * .05 / 4000) = .0034
    draws = np.random.default_rng(0).normal(5.0, 2.0, (4000, n))
    found = [interval(row) for row in draws]
    held = np.mean([abs(i.mean - 5.0) <= i.half_width for i in found])
    assert abs(held - 0.95) < 4 * sqrt(0.95 * 0.05 / 4000)
