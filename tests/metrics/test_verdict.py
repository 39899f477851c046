"""What is called dead, collapsed, skewed or balanced, and since when."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import metrics
from moe_lab.metrics import DeadWindow, Deaths, LoadWatch


def test_an_expert_is_dead_below_five_percent_of_its_fair_share():
    # E = 4: the fair share is .25, the border .0125 = 1/80.
    assert metrics.dead_experts(metrics.load([1, 26, 26, 27])) == 0
    assert metrics.dead_experts(metrics.load([1, 26, 27, 27])) == 0.25  # 1/81
    assert metrics.dead_experts(metrics.load([0, 0, 5, 5])) == 0.5


def test_the_dead_window_is_blank_until_each_expert_expects_twenty():
    # E = 3, 13 assignments a step: 20 * 3 / 13 = 4.6, so 5 steps.
    assert metrics.window_steps(3, 13) == 5
    assert metrics.window_steps(3, 60) == 1
    assert metrics.window_steps(3, 59) == 2
    window = DeadWindow(3, 13)
    found = [window.add([7, 5, 1])] + [window.add([7, 6, 0]) for _ in range(5)]
    # Full at the fifth step, with 1 of 65 assignments: .015 < .05 / 3 = .017 is dead, and gets something still.
    assert found == [None] * 4 + [Deaths(1 / 3, 0), Deaths(1 / 3, 1 / 3)]


def test_one_reading_is_a_window_of_its_own():
    assert metrics.deaths([0, 30, 29]) is None  # 59 of 3 * 20 assignments
    assert metrics.deaths([0, 30, 30]) == Deaths(1 / 3, 1 / 3)
    assert metrics.deaths([1, 40, 40]) == Deaths(1 / 3, 0)  # 1/81 < .05 / 3


@given(st.lists(st.integers(0, 400), min_size=2, max_size=12).filter(any))
def test_starved_experts_are_among_the_dead_and_some_expert_lives(counts):
    found = metrics.deaths(counts)
    assert (found is None) == (sum(counts) < 20 * len(counts))
    if found:
        assert 0 <= found.starved_experts <= found.dead_experts <= 1 - 1 / len(counts)
        assert found.starved_experts == metrics.starved_experts(counts)


def test_the_dead_window_forgets_what_is_older_than_its_width():
    window = DeadWindow(2, 40)  # 1 step
    assert [window.add([40, 0]), window.add([20, 20])] == [Deaths(0.5, 0.5), Deaths(0, 0)]
    window = DeadWindow(2, 20)  # 2 steps
    found = [window.add(counts) for counts in ([10, 10], [20, 0], [20, 0], [19, 1])]
    # The last: 1 of 40 = .025 is the border itself.
    assert found == [None, Deaths(0, 0), Deaths(0.5, 0.5), Deaths(0, 0)]


ONE, FAIR = np.array([1.0, 0.0]), np.array([0.5, 0.5])


def test_a_collapse_is_certain_after_fifty_steps_and_began_with_the_first():
    watch = LoadWatch(top_k=1)
    assert [watch.update(step, ONE) for step in range(1, 50)] == [None] * 49
    assert not watch.collapsed
    assert watch.verdict() == "skewed"
    assert watch.update(50, ONE) == "collapse"
    assert (watch.onsets, watch.recoveries, watch.verdict()) == ([1], [], "collapsed")
    assert watch.update(51, ONE) is None


def beyond(shares: list[float]) -> list[bool]:
    """Whether collapse_index = 2 - exp(H) of the averaged shares of one of two experts is over .5."""
    keep, average, flags = 0.5 ** (1 / 20), shares[0], []
    for share in shares:
        average = keep * average + (1 - keep) * share
        entropy = -sum(p * math.log(p) for p in (average, 1 - average) if p > 0)
        flags.append(2 - math.exp(entropy) > 0.5)
    return flags


def watched(shares: list[float]) -> tuple[LoadWatch, dict[int, str]]:
    watch = LoadWatch(top_k=1)
    loads = [np.array([share, 1 - share]) for share in shares]
    changes = {step: watch.update(step, q) for step, q in enumerate(loads, 1)}
    return watch, {step: change for step, change in changes.items() if change}


def test_a_recovery_needs_fifty_steps_as_well():
    shares = [1.0] * 60 + [0.5] * 80
    healthy = beyond(shares).index(False) + 1
    assert healthy == 70  # 1/2 + 1/2 * 2**(-10/20) = .854 of the load on one: n_eff 1.52 >= 1.5
    watch, changes = watched(shares)
    assert changes == {50: "collapse", 119: "recovery"}
    assert (watch.onsets, watch.recoveries) == ([1], [70])
    assert watch.verdict() == "balanced"
    watch, changes = watched(shares[:118])
    assert (changes, watch.recoveries, watch.verdict()) == ({50: "collapse"}, [], "collapsed")


def test_an_interrupted_stretch_counts_from_its_new_beginning():
    shares = [1.0] * 40 + [0.5] * 15 + [1.0] * 100
    flags = beyond(shares)
    assert not all(flags[:55])
    onset = len(flags) - flags[::-1].index(False) + 1
    assert onset > 55
    watch, changes = watched(shares)
    assert changes == {onset + 49: "collapse"}
    assert watch.onsets == [onset]


def test_a_second_collapse_is_a_new_onset():
    watch, changes = watched([1.0] * 60 + [0.5] * 100 + [1.0] * 100)
    assert list(changes.values()) == ["collapse", "recovery", "collapse"]
    assert watch.collapsed
    assert len(watch.onsets) == 2
    assert watch.onsets[1] > 160


def test_steps_that_were_not_logged_count():
    watch = LoadWatch(top_k=1)
    changes = [watch.update(step, ONE) for step in range(10, 71, 10)]
    # From step 10 to 50 are 41 steps, to 60 are 51.
    assert changes == [None] * 5 + ["collapse", None]
    assert watch.onsets == [10]


@pytest.mark.parametrize("every", [1, 4, 20])
def test_the_average_has_a_half_life_of_twenty_steps(every):
    watch = LoadWatch(top_k=1)
    watch.update(5, np.array([1.0, 0.0]))
    for step in range(5 + every, 46, every):
        watch.update(step, np.array([0.0, 1.0]))
        if step == 25:
            np.testing.assert_allclose(watch.average, [0.5, 0.5], rtol=1e-12)
    np.testing.assert_allclose(watch.average, [0.25, 0.75], rtol=1e-12)


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ([1] * 8, "balanced"),
        ([2, 1, 1, 1, 1, 1, 1, 0], "skewed"),  # dead: 0 < .05 / 8; 8 * .25 - 1 = 1 is not over 1
        ([2, 1, 1, 1, 1, 1, 0.9, 0.1], "balanced"),  # .1 / 8 is alive
        ([2.1, 1, 1, 1, 1, 1, 0.8, 0.1], "skewed"),  # max_violation 1.1
    ],
)
def test_the_verdict_of_a_layer_that_is_not_collapsed(shares, verdict):
    watch = LoadWatch(top_k=1)
    watch.update(1, metrics.load(shares))
    assert watch.verdict() == verdict


def test_a_layer_where_each_token_uses_every_expert_cannot_collapse():
    watch = LoadWatch(top_k=2)
    assert [watch.update(step, FAIR) for step in range(1, 120)] == [None] * 119
    assert watch.verdict() == "balanced"
