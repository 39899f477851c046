from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import metrics

from .conftest import choices


def test_saturation_counts_shared_experts_in_any_order():
    chosen, final = np.array([[0, 1], [2, 3], [1, 2]]), np.array([[1, 0], [2, 0], [3, 0]])
    assert metrics.saturation(chosen, final) == 0.5  # (2 + 1 + 0) / (3 * 2)


def test_fluctuation_counts_changed_first_choices_alone():
    before, after = np.array([[0, 1], [2, 3], [1, 2]]), np.array([[1, 0], [2, 0], [1, 3]])
    assert metrics.fluctuation(before, after) == pytest.approx(1 / 3)


def test_saturation_by_chance_is_k_over_the_number_of_experts():
    sets = np.array(list(permutations(range(5), 3)))  # all choices of 3 of 5 against one
    assert metrics.saturation(sets, np.broadcast_to([0, 1, 2], sets.shape)) == pytest.approx(3 / 5)


@given(choices(), st.randoms(use_true_random=False))
def test_stability_is_its_slow_definition_and_within_bounds(drawn, random):
    chosen, n_experts = drawn
    n_tokens, top_k = chosen.shape
    final = np.array([random.sample(range(n_experts), top_k) for _ in range(n_tokens)])
    shared = sum(len({*a} & {*b}) for a, b in zip(chosen.tolist(), final.tolist(), strict=True))
    found = metrics.saturation(chosen, final)
    assert found == pytest.approx(shared / n_tokens / top_k)
    # Two sets of k of E experts share 2k - E at least.
    assert max(0, 2 - n_experts / top_k) - 1e-12 <= found <= 1
    moved = sum(a[0] != b[0] for a, b in zip(chosen, final, strict=True))
    assert metrics.fluctuation(chosen, final) == moved / n_tokens
    assert (metrics.saturation(chosen, chosen), metrics.fluctuation(chosen, chosen)) == (1, 0)
