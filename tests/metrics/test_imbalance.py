import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import metrics

from .conftest import choices


def test_batches_that_collapse_on_different_experts_are_balanced_together():
    found = metrics.batch_imbalance([[10, 0], [0, 10]], top_k=1)
    # CV^2 of (1, 0) is 1; together (1/2, 1/2); each expert's load is 1 or 0, variance 1/4, times E, twice.
    assert (found.batch_cv2, found.global_cv2, found.between_batches) == (1, 0, 1)
    assert found.floor == pytest.approx(0.1)  # (2 - 1) / (1 * 10)


def test_batches_that_collapse_on_one_expert_stay_collapsed_together():
    found = metrics.batch_imbalance([[10, 0], [10, 0]], top_k=1)
    assert (found.batch_cv2, found.global_cv2, found.between_batches) == (1, 1, 0)


def test_the_floor_counts_the_tokens_of_one_batch():
    # E = 4, k = 2, 12 assignments are 6 tokens: (4 - 2) / (2 * 6)
    found = metrics.batch_imbalance([[3, 3, 3, 3]] * 5, top_k=2)
    assert found.floor == pytest.approx(1 / 6)


def test_batches_of_different_size_are_refused():
    with pytest.raises(AssertionError, match="equal size"):
        metrics.batch_imbalance([[10, 0], [0, 11]], top_k=1)


@given(choices(), st.integers(1, 5))
def test_the_decomposition_is_exact(drawn, n_batches):
    chosen, n_experts = drawn
    top_k = chosen.shape[1]
    batches = np.stack([(chosen + i * (chosen[:, :1] % 3)) % n_experts for i in range(n_batches)])
    counts = (batches.reshape(n_batches, -1, 1) == np.arange(n_experts)).sum(1)
    found = metrics.batch_imbalance(counts, top_k=top_k)
    assert found.batch_cv2 == pytest.approx(found.global_cv2 + found.between_batches, abs=1e-12)
    assert 0 <= found.global_cv2 <= found.batch_cv2 + 1e-12
    assert found.between_batches >= 0
    assert found.batch_cv2 <= n_experts / top_k - 1 + 1e-9
    if n_batches == 1:
        assert found.between_batches == 0


def test_random_routing_shows_the_floor_and_between_batches_all_but_one_part_of_it():
    n_batches, tokens, draws = 4, 60, 3000
    rng = np.random.default_rng(0)
    counts = rng.multinomial(tokens, [1 / 6] * 6, size=(draws, n_batches))
    found = [metrics.batch_imbalance(row, top_k=1) for row in counts]
    for name, share in (("batch_cv2", 1), ("between_batches", 1 - 1 / n_batches)):
        values = np.array([getattr(one, name) for one in found])
        error = values.std() / np.sqrt(draws)
        assert values.mean() == pytest.approx(share * found[0].floor, abs=4 * error)
