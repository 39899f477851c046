from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.progress.sparks import POINTS, Series

GLYPHS = "12345678"


def series(values: list[float]) -> Series:
    found = Series()
    for value in values:
        found.add(value)
    return found


def test_the_smallest_and_the_largest_value_have_the_ends_of_the_scale():
    assert series([3, 5, 10]).drawn(9, GLYPHS) == "138"  # (5 - 3) / 7 * 7 = 2 above the first
    assert series([3, 5, 10]).drawn(9, GLYPHS, lowest=0) == "358"  # 2.1, 3.5 rounds to 4, 7


def test_a_long_series_is_drawn_by_the_means_of_equal_parts():
    # parts of two: means 0, 7, 3
    assert series([0, 0, 6, 8, 1, 5]).drawn(3, GLYPHS) == "184"


def test_what_is_level_or_empty_is_drawn_all_the_same():
    assert series([2, 2, 2]).drawn(5, GLYPHS) == "111"
    assert series([]).drawn(5, GLYPHS) == ""
    assert series([1]).drawn(0, GLYPHS) == ""


def test_what_is_not_finite_is_left_out():
    found = series([nan, 1.0, inf, 2.0, nan])
    assert found.ends == (1.0, 2.0)
    assert found.drawn(9, GLYPHS) == "18"


@pytest.mark.parametrize("length", [POINTS - 1, POINTS, 5 * POINTS, 10_000])
def test_a_long_series_is_kept_as_few_means_of_equally_many_values(length: int):
    found = series([float(i) for i in range(length)])
    means = found._means
    assert POINTS / 2 <= len(means) < POINTS
    each = length // len(means)
    # the i-th mean of `each` consecutive numbers
    assert means == [i * each + (each - 1) / 2 for i in range(len(means))]
    assert found.ends == (0.0, length - 1.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(1, 60))
def test_a_course_has_at_most_the_width_and_a_rise_never_falls(values: list[float], width: int):
    assert len(series(values).drawn(width, GLYPHS)) <= width
    rise = series(sorted(values)).drawn(width, GLYPHS)
    assert all(before <= after for before, after in pairwise(rise))
