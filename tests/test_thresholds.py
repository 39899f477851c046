"""Where collapse ends on an axis of doses, and the front of a trade-off."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.statistics import Bracket, Threshold, bracket, pareto, threshold

DOSES = (0.0, 0.001, 0.01, 0.1, 1.0)


@pytest.mark.parametrize(
    ("collapsed", "expected"),
    [
        ((True, True, False, False, False), Bracket(0.001, 0.01)),
        ((True, False, True, False, False), Bracket(0.01, 0.1)),  # the last one counts
        ((False,) * 5, Bracket(None, 0.0)),
        ((True,) * 5, Bracket(1.0, None)),
    ],
)
def test_collapse_ends_after_the_last_dose_with_it(collapsed, expected):
    assert bracket(DOSES, collapsed) == expected


def test_a_lever_that_harms_is_read_downwards():
    assert bracket((2.0, 0.5, 0.1), (True, False, False)) == Bracket(2.0, 0.5)


def test_the_middle_of_three_seeds_with_what_three_can_say():
    # lowest and highest of three hold the median unless all lie on one side: 1 - 2 / 8 = .75
    seeds = [Bracket(0.1, 1.0), Bracket(None, 0.0), Bracket(0.001, 0.01)]
    assert threshold(seeds, DOSES) == Threshold(Bracket(0.001, 0.01), Bracket(None, 1.0), 0.75, 3)


def test_two_seeds_are_halfway_and_one_has_no_interval():
    seeds = [Bracket(0.1, 1.0), Bracket(0.001, 0.01)]
    assert threshold(seeds, DOSES) == Threshold(Bracket(0.001, 1.0), Bracket(0.001, 1.0), 0.5, 2)
    assert threshold(seeds[:1], DOSES) == Threshold(seeds[0], seeds[0], None, 1)


def test_nine_seeds_leave_out_one_at_either_end():
    # r = 2: 1 - 2 (1 + 9) / 512 = .9609; r = 3: 1 - 2 (1 + 9 + 36) / 512 = .8203
    seeds = [Bracket(1.0, None), *[Bracket(0.01, 0.1)] * 7, Bracket(None, 0.0)]
    found = threshold(seeds, DOSES)
    assert found.interval == found.estimate == Bracket(0.01, 0.1)
    assert found.confidence == 1 - 20 / 512


@pytest.mark.parametrize(("n", "outermost"), [(6, True), (8, True), (9, False)])
def test_eight_seeds_need_the_outermost(n, outermost):
    # r = 2 at n = 8: 1 - 2 (1 + 8) / 256 = .9297
    seeds = [Bracket(None, 0.0), *[Bracket(0.01, 0.1)] * (n - 1)]
    assert (threshold(seeds, DOSES).interval.collapsed is None) == outermost


def test_four_seeds_reach_from_the_second_to_the_third():
    seeds = [Bracket(0.0, 0.001), Bracket(0.001, 0.01), Bracket(0.1, 1.0), Bracket(1.0, None)]
    assert threshold(seeds, DOSES).estimate == Bracket(0.001, 1.0)


def test_a_seed_that_misses_doses_widens_what_is_known():
    # whatever lies in 0 … 1, the middle of the three is not below .001 and not above .1
    seeds = [Bracket(0.0, 1.0), Bracket(0.001, 0.01), Bracket(0.01, 0.1)]
    assert threshold(seeds, DOSES).estimate == Bracket(0.001, 0.1)


@given(st.permutations([Bracket(0.0, 0.001), Bracket(0.01, 0.1), Bracket(1.0, None)]))
def test_the_order_of_seeds_does_not_matter(seeds):
    assert threshold(seeds, DOSES).estimate == Bracket(0.01, 0.1)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_a_threshold_is_the_same_downwards_with_its_ends_exchanged(counts):
    # a lever that harms collapses where the other, which collapses at its lowest doses, is healthy
    up = threshold([bracket(DOSES, [i < ill for i in range(5)]) for ill in counts], DOSES)
    falling = DOSES[::-1]
    down = threshold([bracket(falling, [i < 5 - ill for i in range(5)]) for ill in counts], falling)
    for one, other in ((up.estimate, down.estimate), (up.interval, down.interval)):
        assert (one.collapsed, one.safe) == (other.safe, other.collapsed)


def test_a_threshold_off_the_axis_is_written_as_json():
    found = json.dumps(asdict(threshold([Bracket(1.0, None)], DOSES)), allow_nan=False)
    assert '"interval": {"collapsed": 1.0, "safe": null}' in found


def test_the_front_is_what_no_other_beats():
    # (2, 2) is beaten by (1, 2), which is smaller in one and equal in the other; (3, 1) is not
    assert pareto([(1, 2), (2, 2), (3, 1), (3, 3)]) == [True, False, True, False]


def test_equal_points_stay_together():
    assert pareto([(1, 1), (1, 1), (1, 2)]) == [True, True, False]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_what_leaves_the_front_is_beaten_by_one_that_stays(points):
    def beats(one, other):
        return one != other and one[0] <= other[0] and one[1] <= other[1]

    on_front = pareto(points)
    front = [point for point, stays in zip(points, on_front, strict=True) if stays]
    for point, stays in zip(points, on_front, strict=True):
        assert stays != any(beats(other, point) for other in front)
