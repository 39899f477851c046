import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from moe_lab.figures import thinning

STEPS = hnp.arrays(np.int64, st.integers(1, 300), elements=st.integers(0, 10_000))
SHARES = st.one_of(st.floats(1e-9, 64), st.just(0.0), st.just(float("nan")))


@given(STEPS, st.integers(1, 120))
def test_every_step_is_in_exactly_one_bin_and_bins_follow_the_steps(steps: np.ndarray, most: int):
    bins = thinning.binned(steps, most)
    assert bins.shape == steps.shape
    assert sorted(set(bins)) == list(range(min(most, len(set(steps)))))
    by_step = {step: set(bins[steps == step]) for step in sorted(set(steps))}
    assert all(len(found) == 1 for found in by_step.values())
    in_order = [found.pop() for found in by_step.values()]
    assert in_order == sorted(in_order)


def test_bins_hold_nearly_the_same_number_of_steps():
    # 7 steps in 3 bins: floor(i * 3 / 7) = 0 0 0 1 1 2 2
    assert thinning.binned(np.arange(7), 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert thinning.binned(np.array([30, 10, 10, 20]), 2).tolist() == [1, 0, 0, 0]
    assert thinning.binned(np.array([], dtype=int)).tolist() == []


def test_the_load_furthest_from_fair_is_so_as_a_ratio():
    # 3 is further from 1 than 1/2 is, but not than 1/4; 0 is further than anything.
    share = np.array([[0.5, 0.25, 0.0, 1.0], [3.0, 3.0, 64.0, 1.0]])
    found = thinning.furthest(np.array([1, 2]), share, most=1)
    assert found.value.tolist() == [[3.0, 0.25, 0.0, 1.0]]
    assert (found.first.tolist(), found.last.tolist()) == ([1], [3])


def test_what_is_not_a_number_counts_least():
    share = np.array([[np.nan, np.nan], [1.1, np.nan]])
    found = thinning.furthest(np.array([1, 2]), share, most=1)
    np.testing.assert_equal(found.value, [[1.1, np.nan]])
    np.testing.assert_equal(thinning.means(np.array([1, 2]), share, most=1).value, [[1.1, np.nan]])


def test_bins_reach_to_the_next_and_the_last_as_far_as_steps_lie_apart():
    spans = thinning.means(np.array([1, 11, 21, 31, 41]), np.ones((5, 1)), most=2)
    assert spans.first.tolist() == [1, 31]
    assert spans.last.tolist() == [31, 51]


@pytest.mark.parametrize("of", [thinning.furthest, thinning.means])
def test_one_step_and_none_are_bins_too(of):
    one = of(np.array([7]), np.ones((1, 3)))
    assert (one.first.tolist(), one.last.tolist(), one.value.shape) == ([7], [8], (1, 3))
    none = of(np.array([], dtype=int), np.ones((0, 3)))
    assert (len(none.first), len(none.last), none.value.shape) == (0, 0, (0, 3))


@settings(max_examples=30)
@given(st.data(), STEPS, st.integers(1, 40))
def test_spans_equal_a_slow_loop_in_any_order_of_steps(
    data: st.DataObject, steps: np.ndarray, most: int
):
    values = data.draw(hnp.arrays(float, (len(steps), 2), elements=SHARES))
    bins = thinning.binned(steps, most)
    names = ("furthest", "lowest", "means", "highest")
    spans = [getattr(thinning, name)(steps, values, most) for name in names]
    for b in range(bins.max() + 1):
        assert spans[0].first[b] == steps[bins == b].min()
        for column in range(2):
            known = [x for x in values[bins == b, column] if x == x]
            found = [span.value[b, column] for span in spans]
            if not known:
                assert np.isnan(found).all()
                continue
            low, high = min(known), max(known)
            furthest = low if low == 0 or (high < 1 / low) else high
            expected = [furthest, low, sum(known) / len(known), high]
            np.testing.assert_allclose(found[1:], expected[1:])
            if low > 0 and not np.isclose(high * low, 1):
                assert found[0] == furthest


@given(hnp.arrays(float, st.tuples(st.integers(1, 250), st.just(5)), elements=st.floats(0.01, 1)))
def test_means_of_loads_sum_to_one(loads: np.ndarray):
    loads /= loads.sum(axis=1, keepdims=True)
    found = thinning.means(np.arange(len(loads)), loads)
    assert len(found.value) <= 100
    np.testing.assert_allclose(found.value.sum(axis=1), 1)


@settings(max_examples=30)
@given(st.data(), STEPS, st.integers(1, 30))
def test_extremes_of_every_group_and_bin_are_kept_in_order(
    data: st.DataObject, steps: np.ndarray, most: int
):
    table = pd.DataFrame(
        {
            "step": steps,
            "layer": data.draw(hnp.arrays(np.int64, len(steps), elements=st.integers(0, 2))),
            "v": data.draw(hnp.arrays(float, len(steps), elements=SHARES)),
        },
        index=np.random.default_rng(0).permutation(len(steps)),
    )
    kept = thinning.extremes(table, "v", ["layer"], most)
    assert kept.index.tolist() == [i for i in table.index if i in set(kept.index)]
    bins = thinning.binned(steps, most)
    for _, rows in table.groupby([table["layer"], bins]):
        shown = kept[kept.index.isin(rows.index)]
        assert 1 <= len(shown) <= 2
        for extreme in ("min", "max"):
            np.testing.assert_equal(getattr(shown["v"], extreme)(), getattr(rows["v"], extreme)())


def test_extremes_of_nothing_are_nothing():
    table = pd.DataFrame({"step": [], "layer": [], "v": []}, dtype=float)
    assert thinning.extremes(table, "v", ["layer"]).empty


def test_a_group_without_a_name_is_a_group():
    table = pd.DataFrame({"step": [1, 1], "domain": [None, "a"], "v": [1.0, 2.0]})
    assert len(thinning.extremes(table, "v", ["domain"])) == 2
