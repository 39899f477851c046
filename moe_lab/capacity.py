"""Room per expert: one formula, for the router that drops and for the config that warns."""

from fractions import Fraction
from math import ceil
from typing import Literal

DropOrder = Literal["position", "probability", "random", "batch_priority"]


def capacity(capacity_factor: float, top_k: int, n_tokens: int, n_experts: int) -> int:
    """Slots per expert: ceil(factor * k * T / E) (Fedus et al. 2022, arXiv:2101.03961, eq. 3, for any k).

    The factor counts as it is written: 1.1 * 200 / 4 is 55, though in binary it is a little more.
    """
    return ceil(Fraction(repr(float(capacity_factor))) * top_k * n_tokens / n_experts)
