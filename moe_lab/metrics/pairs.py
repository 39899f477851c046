"""Which experts work on the same tokens, and how much of that their load alone explains."""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

NEWTON_STEPS = 100  # 15 are enough where chances are within 1e-7 of 0 and 1

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairExcess:
    """How far the pairs of experts that share tokens are from what load alone implies."""

    excess: float  # share of pairs that would have to be other pairs, in [0, 1)
    floor: float  # what independent choices show at this number of tokens


@dataclass(frozen=True)
class FreePairs:
    """The pairs of experts that load leaves free, and how many tokens it implies for each."""

    experts: NDArray[np.int64]  # (n,) those that some tokens go to, and not all
    size: int  # of them per token, at least 2
    expected: Array  # (n, n) T p_ij; on the diagonal the load itself


def coactivation_counts(chosen: NDArray[np.int64], n_experts: int) -> NDArray[np.int64]:
    """N_ij: tokens that went to both i and j, (E, E), from their experts (T, k); N_ii: tokens of i."""
    pairs = chosen[:, :, None] * n_experts + chosen[:, None, :]
    return np.bincount(pairs.ravel(), minlength=n_experts**2).reshape(n_experts, n_experts)


def coactivation(chosen: NDArray[np.int64], n_experts: int) -> Array:
    """N_ij / N_i: share of expert i's tokens that went to j as well, (E, E); diagonal 1, a dead expert's row nan.

    Not symmetric. Off the diagonal a row sums to k-1, so uniformly random routing reads (k-1)/(E-1).
    Source: Muennighoff et al. 2024, arXiv:2409.02060, expert co-activation.
    """
    counts = coactivation_counts(chosen, n_experts)
    own = counts.diagonal()[:, None]
    shares: Array = np.divide(counts, own, out=np.full(counts.shape, np.nan), where=own > 0)
    return shares


def coactivation_excess(counts: NDArray[np.int64], *, top_k: int) -> PairExcess | None:
    """Total variation between the pairs of N_ij (E, E) and those that load alone implies; None if k = 1 or k = E.

    sum_{i != j} |N_ij - T p_ij| / (2 T k (k-1)). p_ij is a token's chance to get i and j under the law of greatest
    entropy over sets of k experts that gives each expert its load: tokens that differ in nothing. A popular expert is
    in many pairs for that reason alone, which (k-1)/(E-1) would call co-activation; and a signed mean of N_ij - T p_ij
    says nothing, since load fixes the sum of each row. Fixed teams of k read 1 - (k-1)/(E-1).

    The floor is a mean for nearly normal N_ij whose variance is what load leaves free,
    T p_ij (E-k)(E-k-1)/((E-1)(E-2)): right for uniform load, too high for a skewed one (at most twice, seen).
    Experts that every token goes to, or none, are in no pair that is free and do not count in that E and k; where
    fewer than two choices per token are left, load says everything and both are 0.
    """
    if top_k in (1, len(counts)):
        return None
    free = free_pairs(counts, top_k=top_k)
    if free is None:
        return PairExcess(0.0, 0.0)
    n, size = len(free.experts), free.size
    apart = ~np.eye(n, dtype=bool)
    expected = free.expected[apart]
    distance = np.abs(counts[np.ix_(free.experts, free.experts)][apart] - expected)
    left = (n - size) * (n - size - 1) / ((n - 1) * (n - 2))
    noise = np.minimum(np.sqrt(2 / pi * left * expected), 2 * expected)
    pairs = int(counts.trace()) // top_k * top_k * (top_k - 1)
    return PairExcess(float(distance.sum()) / 2 / pairs, float(noise.sum()) / 2 / pairs)


def free_pairs(counts: NDArray[np.int64], *, top_k: int) -> FreePairs | None:
    """What load alone implies for N_ij (E, E); None if it leaves fewer than two choices per token."""
    own = counts.diagonal()
    tokens = int(own.sum()) // top_k
    experts, size = np.flatnonzero((own > 0) & (own < tokens)), top_k - int((own == tokens).sum())
    if size < 2:
        return None
    return FreePairs(experts, size, tokens * pair_probabilities(own[experts] / tokens))


def pair_probabilities(inclusion: Array) -> Array:
    """Chance of each two of E experts to be in one set of k, (E, E), at greatest entropy given each one's own chance.

    inclusion (E,) lies strictly between 0 and 1 and sums to k; it is the diagonal of the result. The law is conditional
    Poisson sampling: each expert is taken independently with its own odds, and only sets of size k count. The odds are
    found by Newton's method in their logarithm, where the likelihood is concave.
    Source: Chen, Dempster and Liu 1994, Biometrika 81(3).
    """
    size = round(float(inclusion.sum()))
    log_odds = np.log(inclusion) - np.log1p(-inclusion)
    for _ in range(NEWTON_STEPS):
        pairs = _conditional_poisson(1 / (1 + np.exp(-log_odds)), size)
        missing = inclusion - pairs.diagonal()
        if np.abs(missing).max() < 1e-12:
            break
        covariance = pairs - np.outer(pairs.diagonal(), pairs.diagonal())
        # Its rows sum to 0, as the size is fixed: adding 1 moves only that direction, in which nothing is missing.
        step = np.linalg.solve(covariance + 1, missing)
        # A full step overshoots where a chance is near 0 or 1.
        log_odds += step / max(1.0, np.abs(step).max())
    return np.maximum(pairs, 0)  # rounding


def _conditional_poisson(chance: Array, size: int) -> Array:
    """Chance of each pair, and on the diagonal of each one, among independent draws given that `size` were drawn.

    The generating function prod (1 - p + p z) is read at roots of unity, whose number is odd: z = -1 would make
    a factor 0 at p = 1/2.
    """
    n_roots = len(chance) + 1 + len(chance) % 2
    z = np.exp(2j * pi * np.arange(n_roots) / n_roots)
    taken = chance[:, None] * z
    factors = 1 - chance[:, None] + taken
    weights = factors.prod(0) / z**size
    ratios = taken / factors
    weighted = ratios * weights
    pairs: Array = (weighted @ ratios.T).real
    np.fill_diagonal(pairs, weighted.sum(1).real)
    pairs /= weights.sum().real
    return pairs
