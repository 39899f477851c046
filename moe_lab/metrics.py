"""How collapsed is this? Pure functions of how many assignments each expert got.

E experts, k per token, n_i assignments of expert i counted before capacity, load q_i = n_i / sum n.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, exp, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

DEAD_SHARE = 0.05  # of the fair share: an expert below is dead
MIN_EXPECTED = 20  # assignments per expert in a window, before anything is called dead
HALF_LIFE = 20  # steps, of the moving average that a verdict is read off
SUSTAINED = 50  # steps beyond the threshold that make a collapse, or end one
COLLAPSED = 0.5  # collapse_index

Load = NDArray[np.float64]
Verdict = Literal["collapsed", "skewed", "balanced"]


def load(counts: Sequence[float] | NDArray[np.generic]) -> Load:
    """Share of assignments per expert, (E,); sums to 1."""
    n: Load = np.asarray(counts, dtype=np.float64)
    total: float = n.sum()
    return np.divide(n, total)


def cv(q: Load) -> float:
    """Coefficient of variation, population standard deviation / mean, in [0, sqrt(E/k - 1)].

    CV = sqrt(E * sum q^2 - 1), computed from the deviations so that balance reads exactly 0.
    """
    return sqrt(len(q) * float(np.square(q - 1 / len(q)).sum()))


def cv_floor(n_experts: int, top_k: int, tokens: int) -> float:
    """Root mean square of CV when each token picks k experts uniformly: sqrt((E-k)/(k T))."""
    return sqrt((n_experts - top_k) / (top_k * tokens))


def max_violation(q: Load) -> float:
    """E * max q - 1, in [0, E/k - 1] (Wang et al. 2024, arXiv:2408.15664, MaxVio)."""
    return len(q) * float(q.max()) - 1


def load_entropy(q: Load) -> float:
    """H = -sum q ln q in nats, with 0 ln 0 = 0."""
    used = q[q > 0]
    return float(-(used * np.log(used)).sum())


def n_eff(q: Load) -> float:
    """exp(H): effective number of experts, in [k, E]."""
    return exp(load_entropy(q))


def entropy(q: Load) -> float:
    """H / ln E, in [0, 1]."""
    return load_entropy(q) / log(len(q))


def collapse_index(q: Load, *, top_k: int) -> float | None:
    """(E - n_eff)/(E - k): 0 balanced, 1 when one set of k experts gets all; None if k = E."""
    spare = len(q) - top_k
    return (len(q) - n_eff(q)) / spare if spare else None


def dead_experts(q: Load) -> float:
    """Share of experts below 5 % of their fair share 1/E; q must come from a long enough window."""
    return float((q < DEAD_SHARE / len(q)).mean())


def window_steps(n_experts: int, assignments: int) -> int:
    """Steps of so many assignments until each expert expects MIN_EXPECTED of them."""
    return ceil(MIN_EXPECTED * n_experts / assignments)


def balance(counts: Sequence[int], *, top_k: int) -> dict[str, int | float | None]:
    """The columns of cv.csv that are functions of one layer's counts."""
    q, assignments = load(counts), int(np.sum(counts))
    return {
        "assignments": assignments,
        "cv": cv(q),
        "cv_floor": cv_floor(len(q), top_k, assignments // top_k),
        "max_violation": max_violation(q),
        "n_eff": n_eff(q),
        "entropy": entropy(q),
        "collapse_index": collapse_index(q, top_k=top_k),
    }


class DeadWindow:
    """Counts of the last W steps of one layer, W the fewest with MIN_EXPECTED assignments each."""

    def __init__(self, n_experts: int, assignments: int):
        self.counts: deque[list[int]] = deque(maxlen=window_steps(n_experts, assignments))

    def add(self, counts: list[int]) -> float | None:
        """Dead experts with this step counted in; None until the window is full."""
        self.counts.append(counts)
        if len(self.counts) < (self.counts.maxlen or 0):
            return None
        return dead_experts(load(np.sum(self.counts, axis=0)))


@dataclass
class LoadWatch:
    """A layer's verdict, from its load at each logged step, on a moving average with half-life HALF_LIFE.

    Collapsed: collapse_index above COLLAPSED for SUSTAINED consecutive steps, until it stays below as long.
    """

    top_k: int
    average: Load | None = None
    step: int = 0
    onsets: list[int] = field(default_factory=list)  # first step of each collapse
    recoveries: list[int] = field(default_factory=list)  # first step after each collapse
    _crossed: int | None = None  # first step on the other side of the threshold

    @property
    def collapsed(self) -> bool:
        """Whether a collapse has begun and not ended."""
        return len(self.onsets) > len(self.recoveries)

    def update(self, step: int, q: Load) -> Literal["collapse", "recovery"] | None:
        """Take one step's load; says what has just become certain, if anything."""
        keep = 0.0 if self.average is None else 0.5 ** ((step - self.step) / HALF_LIFE)
        self.average = q if self.average is None else keep * self.average + (1 - keep) * q
        self.step = step
        if self._beyond() == self.collapsed:
            self._crossed = None
            return None
        self._crossed = self._crossed or step
        if step - self._crossed + 1 < SUSTAINED:
            return None
        changes = self.recoveries if self.collapsed else self.onsets
        changes.append(self._crossed)
        self._crossed = None
        return "collapse" if self.collapsed else "recovery"

    def verdict(self) -> Verdict:
        """Collapsed, else skewed (a maximal violation over 1 or a dead expert), else balanced."""
        assert self.average is not None, "no step was seen"
        if self.collapsed:
            return "collapsed"
        skewed = max_violation(self.average) > 1 or dead_experts(self.average) > 0
        return "skewed" if skewed else "balanced"

    def _beyond(self) -> bool:
        assert self.average is not None
        index = collapse_index(self.average, top_k=self.top_k)
        return index is not None and index > COLLAPSED


def mutual_information(joint: NDArray[np.generic]) -> float:
    """I(row; column) in nats of a table of counts."""
    p = np.asarray(joint, dtype=np.float64) / np.sum(joint)
    expected = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    used = p > 0
    return float((p[used] * np.log(p[used] / expected[used])).sum())


def joint_counts(
    rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """How often each pair of labels occurs, as a table of the given shape."""
    flat = rows.ravel() * shape[1] + columns.ravel()
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


def nmi(
    experts: NDArray[np.int64],  # (sequences, assignments)
    domains: NDArray[np.int64],  # (sequences, assignments)
    orders: Sequence[NDArray[np.int64]],  # permutations of the sequences
    shape: tuple[int, int],  # experts, domains
) -> float:
    """I(expert; domain)/H(domain), less its mean when whole sequences swap their domain labels.

    The subtraction removes the bias of a plug-in estimate; whole sequences are swapped because the
    tokens of one sequence share its domain and are not independent. 0: unrelated, 1: expert tells domain.
    """
    found = mutual_information(joint_counts(experts, domains, shape))
    null = [mutual_information(joint_counts(experts, domains[order], shape)) for order in orders]
    domain_entropy = load_entropy(load(np.bincount(domains.ravel(), minlength=shape[1])))
    return (found - float(np.mean(null))) / domain_entropy


def mean_and_worst(values: Sequence[float]) -> tuple[float, float]:
    """Mean over layers and the largest value."""
    return float(np.mean(values)), max(values)
