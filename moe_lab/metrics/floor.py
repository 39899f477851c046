"""What each statistic of the load shows by sampling alone, when every token picks k of E experts uniformly."""

from math import exp, log, pi, sqrt


def cv_floor(n_experts: int, top_k: int, tokens: int) -> float:
    """Root mean square of CV when each token picks k experts uniformly: sqrt((E-k)/(k T)), exactly."""
    return sqrt((n_experts - top_k) / (top_k * tokens))


def floors(n_experts: int, top_k: int, tokens: int) -> dict[str, float]:
    """The floor of every statistic of the load under uniformly random routing of T tokens, by its column name.

    With c = cv_floor, E q_i has mean 1 and standard deviation exactly c; two of them have correlation -1/(E-1).
    Exact: cv (root mean square) and cv_relative, c / cv_max = 1/sqrt(T). The others are means for nearly normal
    counts, to second order in c: good once an expert expects some ten assignments, kT/E > 10.
    * n_eff_simpson: E/(1 + c^2). entropy: ln n_eff = ln E - c^2/2. collapse_index: from that n_eff.
    * effective_capacity: 1 - E|E q_i - 1|/2, and a normal deviate has E|x| = c sqrt(2/pi).
    * gini: E|E q_i - E q_j| (E-1)/(2E), and that difference has variance 2 c^2 E/(E-1).
    * max_violation, min_over_mean: no mean but a typical extreme value, c sqrt(2 ln E): above the mean extreme
      (.70 of it at E = 8, .83 at E = 64), and passed by fewer than 1/sqrt(4 pi ln E) of random loads.

    Each stays within its statistic's range. cv_relative and collapse_index are left out where k = E: undefined there.
    """
    fair, spare = 1 / n_experts, n_experts / top_k - 1  # spare: largest max_violation
    c = cv_floor(n_experts, top_k, tokens)
    extreme = c * sqrt(2 * log(n_experts))
    n_eff = max(top_k, n_experts * exp(-(c**2) / 2))
    found = {
        "cv": c,
        "max_violation": min(extreme, spare),
        "n_eff": n_eff,
        "entropy": log(n_eff) / log(n_experts),
        "min_over_mean": max(0.0, 1 - extreme),
        "n_eff_simpson": n_experts / (1 + c**2),
        "gini": min(c * sqrt((1 - fair) / pi), 1 - top_k * fair),
        "effective_capacity": max(top_k * fair, 1 - c / sqrt(2 * pi)),
    }
    if top_k < n_experts:
        found["collapse_index"] = (n_experts - n_eff) / (n_experts - top_k)
        found["cv_relative"] = 1 / sqrt(tokens)
    return found
