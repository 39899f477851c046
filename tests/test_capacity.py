import pytest

from moe_lab.capacity import capacity


@pytest.mark.parametrize(
    ("factor", "top_k", "n_tokens", "n_experts", "slots"),
    [
        (1.0, 1, 12, 4, 3),
        (1.0, 1, 11, 5, 3),  # 2.2: neither down nor to the nearest
        (1.25, 2, 13, 5, 7),  # 6.5
        (0.5, 1, 13, 8, 1),  # 0.8125
        (0.01, 1, 8, 64, 1),  # never none
        (2.0, 3, 7, 4, 11),  # 10.5
        (1.1, 1, 200, 4, 55),  # 55 exactly, though 1.1 * 200 is 220.00000000000003 in binary
    ],
)
def test_slots_are_rounded_up(factor, top_k, n_tokens, n_experts, slots):
    assert capacity(factor, top_k, n_tokens, n_experts) == slots
