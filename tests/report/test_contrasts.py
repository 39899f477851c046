"""Differences between arms at equal seeds, and what they decide."""

import pytest

from moe_lab.report.contrasts import Difference, differences
from moe_lab.statistics import interval

MARGIN = 0.01
BASE = dict.fromkeys(range(6), 1.0)


def arm(*offsets: float) -> dict[int, float]:
    return {seed: 1.0 + offset for seed, offset in enumerate(offsets)}


def one(offsets: list[float], margin: float = MARGIN) -> Difference:
    none, found = differences([BASE, arm(*offsets)], BASE, margin)
    assert none is None  # the baseline itself
    assert found is not None
    return found


def test_a_difference_is_of_equal_seeds_and_counts_its_signs():
    baseline = {0: 1.0, 1: 2.0, 2: 4.0}
    (found,) = differences([{2: 3.5, 0: 1.25, 7: 9.0}], baseline, MARGIN)
    assert found is not None
    assert found.interval == interval([-0.5, 0.25])  # seed 2, seed 0; seed 7 has no partner
    assert (found.lower, found.higher) == (1, 1)


def test_arms_without_a_common_seed_have_no_difference():
    assert differences([{1: 1.0}, {}], {0: 1.0}, MARGIN) == [None, None]


def test_five_seeds_decide_no_direction_and_six_of_one_sign_do():
    assert (one([-0.5] * 4 + [-0.4]).p, one([-0.5] * 4 + [-0.4]).decision) == (None, None)
    lower, higher = one([-0.5] * 5 + [-0.4]), one([0.5] * 5 + [0.4])
    assert lower.p == lower.p_holm == 2 / 2**6  # .03125: two of the 64 patterns are as extreme
    assert (lower.decision, higher.decision) == ("lower", "higher")


def test_seeds_that_disagree_are_undecided():
    assert one([0.5, -0.5, 0.4, -0.4, 0.3, 0.1]).decision == "undecided"


def test_p_values_are_adjusted_for_all_arms_of_the_table():
    six = arm(*[-0.5] * 5, -0.4)
    found = differences([BASE, six, six], BASE, MARGIN)
    assert [d and (d.p, d.p_holm, d.decision) for d in found] == [
        None,  # the baseline is not compared, and does not count
        (2 / 64, 4 / 64, "undecided"),
        (2 / 64, 4 / 64, "undecided"),
    ]


def test_equivalence_is_adjusted_too():
    # three differences of mean 0 and s = .005: t = .01 / (.005 / sqrt 3) = 2 sqrt 3 = 3.4641, df 2,
    # p = 1/2 - t / (2 sqrt(2 + t^2)) = 1/2 - 3.4641 / (2 sqrt 14) = .0371
    close = arm(-0.005, 0.0, 0.005)
    alone = differences([close], BASE, MARGIN)[0]
    twice = differences([close, close], BASE, MARGIN)[0]
    assert alone is not None
    assert twice is not None
    assert alone.equivalence_p == pytest.approx(0.0371, abs=1e-4)
    assert (alone.decision, twice.decision) == ("equivalent", None)
    assert twice.equivalence_p_holm == pytest.approx(2 * 0.0371, abs=2e-4)


def test_equivalence_is_within_the_margin_that_was_asked_for():
    offsets = [-0.03, -0.029, -0.031]
    assert one(offsets).decision is None
    assert one(offsets, margin=0.05).decision == "equivalent"


def test_a_certain_difference_that_is_too_small_to_matter_is_equivalent():
    found = one([-0.001, -0.0011, -0.0009, -0.001, -0.0012, -0.001])
    assert found.p_holm is not None
    assert found.p_holm < 0.05
    assert found.decision == "equivalent"


def test_one_seed_decides_nothing():
    found = one([0.0])
    assert (found.interval.half_width, found.equivalence_p, found.decision) == (None, None, None)
