"""How choices change over time, on a fixed set of tokens."""

import numpy as np
from numpy.typing import NDArray


def saturation(chosen: NDArray[np.integer], final: NDArray[np.integer]) -> float:
    """Mean over tokens of |A & B|/k, A the experts chosen (T, k) and B those the final router chooses.

    In [0, 1], k/E by chance; order does not count. 1 still allows gates to drift.
    Source: Muennighoff et al. 2024, arXiv:2409.02060, router saturation.
    """
    shared = sum(
        np.count_nonzero(chosen == other[:, None]) for other in final.T
    )  # (T, k) at a time
    return float(shared / chosen.size)


def fluctuation(before: NDArray[np.integer], after: NDArray[np.integer]) -> float:
    """Share of tokens whose first choice, column 0 of (T, k), differs; in [0, 1].

    Depends on how far apart the two readings are: compare at equal spacing only.
    Source: Chi et al. 2022, arXiv:2204.09179, RF.
    """
    return float((before[:, 0] != after[:, 0]).mean())
