import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from moe_lab.figures.shares import Shares

COUNTS = np.array([[6, 0, 1], [2, 3, 0], [0, 1, 3], [2, 0, 0]])  # experts by labels


def tables() -> st.SearchStrategy[NDArray[np.int64]]:
    shapes = st.tuples(st.integers(1, 9), st.integers(1, 5))
    counts = arrays(np.int64, shapes, elements=st.integers(0, 50))
    return counts.filter(lambda found: found.sum(0).min() > 0)


def test_a_column_is_divided_by_its_own_assignments():
    shares = Shares.of(COUNTS, ["a", "b", "c"], most=4)
    # a: 10 assignments, b: 4, c: 4
    assert shares.share == pytest.approx(
        np.array([[0.6, 0, 0.25], [0.2, 0.75, 0], [0, 0.25, 0.75], [0.2, 0, 0]])
    )
    assert shares.experts == ("0", "1", "2", "3")


def test_of_many_experts_the_most_loaded_stand_alone_in_their_order():
    shares = Shares.of(COUNTS, ["a", "b", "c"], most=3)  # loads 7, 5, 4, 2
    assert shares.experts == ("0", "1", "2 others")
    assert shares.share[2] == pytest.approx([0.2, 0.25, 0.75])  # 2/10, 1/4, 3/4


def test_labels_stand_by_the_expert_that_gets_most_of_them():
    shares = Shares.of(COUNTS, ["a", "b", "c"], most=4)
    turned = Shares(shares.experts, shares.labels[::-1], shares.share[:, ::-1])
    assert turned.by_favourite().labels == ("a", "b", "c")
    assert turned.by_favourite().share == pytest.approx(shares.share)


def test_of_one_expert_the_surest_label_is_first():
    counts = np.array([[6, 9], [4, 1]])  # 60 % and 90 %
    assert Shares.of(counts, ["a", "b"], most=2).by_favourite().labels == ("b", "a")


@given(tables(), st.integers(2, 9))
def test_every_column_sums_to_one_however_few_rows_there_are(counts: NDArray[np.int64], most: int):
    labels = [f"label {i}" for i in range(counts.shape[1])]
    shares = Shares.of(counts, labels, most)
    assert len(shares.experts) == len(shares.share) == min(len(counts), most)
    assert shares.share.sum(0) == pytest.approx(1)
    ordered = shares.by_favourite()
    assert sorted(ordered.labels) == sorted(labels)
    assert (np.diff(ordered.share.argmax(0)) >= 0).all()


def test_a_row_per_cell_names_its_expert_and_label():
    rows = Shares.of(COUNTS, ["a", "b", "c"], most=4).rows()
    assert len(rows) == 12
    assert rows.set_index(["expert", "label"])["share"]["2", "c"] == 0.75
