"""How uneven is a layer's load? Functions of how many assignments each expert got.

E experts, k per token, n_i assignments of expert i counted before capacity, load q_i = n_i / sum n. Ranges hold for
tokens that each pick k distinct experts, which keeps every q_i at or below 1/k.
"""

from collections.abc import Sequence
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from moe_lab.metrics.floor import cv_floor

Load = NDArray[np.float64]


def load(counts: Sequence[float] | NDArray[np.generic]) -> Load:
    """Share of assignments per expert, (E,); sums to 1."""
    n: Load = np.asarray(counts, dtype=np.float64)
    total: float = n.sum()
    return np.divide(n, total)


def cv(q: Load) -> float:
    """Coefficient of variation, population standard deviation / mean, in [0, sqrt(E/k - 1)].

    CV = sqrt(E * sum q^2 - 1), computed from the deviations so that balance reads exactly 0.
    Its scale depends on E and k: compare layers of different E by cv_relative.
    """
    excess = _excess(q)
    return sqrt(len(q) * float(excess @ excess))


def cv_max(n_experts: int, top_k: int) -> float:
    """CV when every token picks the same k experts, the largest there is: sqrt(E/k - 1)."""
    return sqrt(n_experts / top_k - 1)


def cv_relative(q: Load, *, top_k: int) -> float | None:
    """CV / its maximum, in [0, 1]: comparable over E and k; None if k = E."""
    return cv(q) / cv_max(len(q), top_k) if top_k < len(q) else None


def max_violation(q: Load) -> float:
    """E * max q - 1, in [0, E/k - 1] (Wang et al. 2024, arXiv:2408.15664, MaxVio).

    An extreme value: it grows with E by sampling alone, and it is blind to dead experts.
    """
    return len(q) * float(q.max()) - 1


def min_over_mean(q: Load) -> float:
    """E * min q: 1 balanced, 0 when an expert got nothing. What MaxVio is blind to."""
    return len(q) * float(q.min())


def load_entropy(q: Load) -> float:
    """H = -sum q ln q in nats, with 0 ln 0 = 0."""
    used = q[q > 0]
    return -float(used @ np.log(used))


def n_eff(q: Load) -> float:
    """exp(H): effective number of experts, in [k, E] (Hill number of order 1)."""
    return exp(load_entropy(q))


def n_eff_simpson(q: Load) -> float:
    """1 / sum q^2 = E / (1 + CV^2), in [k, n_eff] (Simpson 1949; Hill number of order 2).

    Weighs large shares more than n_eff does, so it is never above it: say which of the two is meant.
    """
    return 1 / float(q @ q)


def entropy(q: Load) -> float:
    """H / ln E, in [ln k / ln E, 1]; insensitive near balance: shares of 10 and 15 % read .990."""
    return load_entropy(q) / log(len(q))


def gini(q: Load) -> float:
    """sum_i (2i - E - 1) q_(i) / E over ascending q_(1) ... q_(E), in [0, 1 - k/E].

    Half the mean absolute difference of two experts (drawn with replacement) over the mean load.
    """
    weights = np.arange(1.0 - len(q), len(q), 2.0)
    return float(weights @ np.sort(_excess(q))) / len(q)


def effective_capacity(q: Load) -> float:
    """1/E * sum_i min(1, E q_i), in [k/E, 1]: the share of the experts' fair room that is used.

    It is 1 - sum |q_i - 1/E| / 2: the rest is the share of the load that would have to move.
    """
    return 1 - float(np.abs(_excess(q)).sum()) / 2


def collapse_index(q: Load, *, top_k: int) -> float | None:
    """(E - n_eff)/(E - k): 0 balanced, 1 when one set of k experts gets all; None if k = E."""
    spare = len(q) - top_k
    return (len(q) - n_eff(q)) / spare if spare else None


def balance(counts: Sequence[int], *, top_k: int) -> dict[str, int | float | None]:
    """The columns of cv.csv that are functions of one layer's counts."""
    q, assignments = load(counts), sum(counts)
    return {
        "assignments": assignments,
        "cv": cv(q),
        "cv_floor": cv_floor(len(q), top_k, assignments // top_k),
        "max_violation": max_violation(q),
        "n_eff": n_eff(q),
        "entropy": entropy(q),
        "collapse_index": collapse_index(q, top_k=top_k),
        "cv_relative": cv_relative(q, top_k=top_k),
        "min_over_mean": min_over_mean(q),
        "n_eff_simpson": n_eff_simpson(q),
        "gini": gini(q),
        "effective_capacity": effective_capacity(q),
    }


def mean_and_worst(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean over layers and the largest value; None for no layers."""
    return (sum(values) / len(values), max(values)) if values else (None, None)


def _excess(q: Load) -> Load:
    """q_i - 1/E: exactly 0 at balance, which sums of q itself are not."""
    return q - 1 / len(q)
