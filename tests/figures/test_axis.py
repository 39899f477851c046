"""Where the values of a swept setting stand."""

from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.figures.axis import Doses


def doses(*values: float) -> Doses:
    return Doses("alpha", values)


def test_zero_stands_one_step_left_of_the_smallest_value():
    places = doses(0, 0.001, 0.01, 0.1).places
    # log10 of the others, which are 1 apart: 0 is 1 left of log10 0.001 = -3
    assert places == pytest.approx({0: -4, 0.001: -3, 0.01: -2, 0.1: -1})


def test_the_axis_is_broken_halfway_between_zero_and_the_smallest_value():
    assert doses(0, 0.001, 0.01).gap == pytest.approx(-3.5)
    assert doses(0.001, 0.01).gap is None
    assert doses(0, 1, 2).gap is None


def test_a_step_is_the_mean_distance_where_ratios_differ():
    # log10: 0, 0.301, 1: the mean distance is 0.5
    assert doses(0, 1, 2, 10).places[0] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("values", "is_log"),
    [
        ((0, 0.001, 0.01), True),
        ((1, 2, 4, 8), True),
        ((0.1, 1), True),
        ((0.5, 1), False),  # two values that are near
        ((0, 0.5, 1), False),
        ((1, 2, 3, 4), False),
        ((1, 1.25, 1.5, 2), False),
        ((0, 1), False),  # one value above zero has no ratio
        ((-1, 1, 10), False),
        ((0.01,), False),
    ],
)
def test_only_values_spaced_by_a_ratio_are_on_a_logarithmic_axis(
    values: tuple[float, ...], is_log: bool
):
    assert doses(*values).is_log is is_log


def test_a_linear_axis_has_values_where_they_are():
    assert doses(0, 0.5, 1).places == {0: 0, 0.5: 0.5, 1: 1}


def test_ticks_are_the_values_in_words():
    axis = doses(0, 0.001, 0.01).x().to_dict()["axis"]
    assert axis["values"] == [-4, -3, -2]
    assert '"-4": "0"' in axis["labelExpr"]
    assert '"-3": "0.001"' in axis["labelExpr"]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9, unique=True))
def test_places_keep_the_order_and_lie_within_the_ends(values: list[float]):
    axis = doses(*sorted(values))
    places = [axis.places[value] for value in sorted(values)]
    assert places == sorted(places)
    low, high = axis.ends
    assert low < places[0]
    assert places[-1] < high


@given(st.integers(2, 8), st.floats(2.1, 20))
def test_a_geometric_row_is_evenly_spaced(n: int, ratio: float):
    values = [0.5 * ratio**i for i in range(n + 1)]
    axis = doses(*values)
    assert axis.is_log
    assert axis.places[values[1]] - axis.places[values[0]] == pytest.approx(log10(ratio))
