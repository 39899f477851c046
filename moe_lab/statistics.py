"""What a few paired seeds can say: means with intervals, tests of differences, shares, thresholds, trade-offs.

Knows numbers only: no files, no columns, no runs. Everything here is a pure function of its arguments.
`scipy.special` is imported where it is needed: it takes a fifth of a second, and one run needs none of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb, floor, inf, log10, sqrt

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
FEW = 5  # seeds: a number from fewer carries a mark
FEWEST_FLIPPED = 6  # differences: with five, no two-sided p is below 2 / 2**5 = .0625
MOST_ENUMERATED = 16  # differences: 2**16 sign patterns
DRAWS = 100_000
BLOCK = 256  # patterns of signs that are made at a time
ROUNDING = 1e-12  # of the sum of sizes: sums this close are equal


@dataclass(frozen=True)
class Interval:
    """A mean over n seeds, and half the width of its 95 % confidence interval; None for one seed."""

    mean: float
    half_width: float | None
    n: int

    def __str__(self) -> str:
        """The half-width to two digits and the mean to as many decimals; one seed has no half-width."""
        if self.half_width is None:
            return f"{self.mean:.4g}"
        if self.half_width <= ROUNDING * abs(self.mean):
            return f"{self.mean:.4g} +/- 0"
        decimals = max(0, 1 - floor(log10(self.half_width)))
        return f"{self.mean:.{decimals}f} +/- {self.half_width:.{decimals}f}"


def interval(values: Sequence[float]) -> Interval:
    """Student's t interval of the mean: right for normal values, whatever their variance.

    half_width = t(0.975, n - 1) * s / sqrt(n) with the sample standard deviation s.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, None, n)
    from scipy.special import stdtrit

    quantile = float(stdtrit(n - 1, 0.5 + LEVEL / 2))
    return Interval(mean, quantile * _standard_error(values), n)


def paired(values: Sequence[float], baseline: Sequence[float]) -> Interval:
    """Interval of the mean difference between two arms that share their seeds, in one order."""
    return interval([a - b for a, b in zip(values, baseline, strict=True)])


def _standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) / sqrt(len(values))


def signs(differences: Sequence[float]) -> tuple[int, int]:
    """How many differences are below zero, and how many above."""
    return sum(d < 0 for d in differences), sum(d > 0 for d in differences)


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """Two-sided permutation p of paired differences under no effect; None for fewer than six.

    If the arms do not differ, each difference could as well have had the other sign: p is the share of sign
    patterns whose |mean| is at least the observed one. Exact up to 16 differences; beyond, over 100,000 drawn
    patterns and the observed one.
    Sources: Fisher 1935, The Design of Experiments, §21; Phipson & Smyth 2010 (the observed pattern counts).
    """
    return sign_flip_ps([differences])[0]


def sign_flip_ps(arms: Sequence[Sequence[float]]) -> list[float | None]:
    """`sign_flip_p` of the differences of each arm, in order; arms of one length share their patterns."""
    found: list[float | None] = [None] * len(arms)
    for n in {len(arm) for arm in arms if len(arm) >= FEWEST_FLIPPED}:
        places = [place for place, arm in enumerate(arms) if len(arm) == n]
        for place, hits in zip(places, _hits([arms[place] for place in places]), strict=True):
            found[place] = hits / 2**n if n <= MOST_ENUMERATED else (1 + hits) / (1 + DRAWS)
    return found


def _hits(arms: Sequence[Sequence[float]]) -> list[int]:
    """Of each arm, all of one length, how many patterns give a sum as far from zero as the observed one."""
    observed = np.asarray(arms, dtype=np.float64).T  # n x arms
    totals = observed.sum(0)
    far = np.abs(totals) - ROUNDING * np.abs(observed).sum(0)
    hits = np.zeros(len(arms), dtype=np.int64)
    for flips in _flips(len(observed)):
        hits += (np.abs(totals - 2 * (flips @ observed)) >= far).sum(0)
    return [int(number) for number in hits]


def _flips(n: int) -> Iterator[NDArray[np.float64]]:
    """Which of n signs are flipped, by row: every pattern once, or DRAWS of them, the same for every call.

    BLOCK rows at a time: all of them, for a thousand seeds, would take 800 MB.
    Drawn from a fixed key rather than a stream: a p-value belongs to no run, and reports import no torch.
    """
    patterns = 2**n if n <= MOST_ENUMERATED else DRAWS
    per_row = -(-n // 64)
    drawn = np.random.Philox(key=n)
    for first in range(0, patterns, BLOCK):
        rows = min(BLOCK, patterns - first)
        if n <= MOST_ENUMERATED:
            words = np.arange(first, first + rows, dtype="<u8")[:, None]
        else:
            words = drawn.random_raw(rows * per_row).reshape(rows, per_row)
        bits = words.astype("<u8").view(np.uint8)
        yield np.unpackbits(bits, axis=1, count=n, bitorder="little").astype(np.float64)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted for being read together, in the given order; what was not tested stays None and is not counted.

    Adjusted p of the j-th smallest of m: the largest of (m - i + 1) p_(i) over i <= j, at most 1. Keeps the chance
    of any false finding at the level, whatever the dependence. Source: Holm 1979.
    """
    adjusted: list[float | None] = [None] * len(p_values)
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = min(1.0, max(largest, (len(tested) - rank) * p))
        adjusted[place] = largest
    return adjusted


def equivalence_p(differences: Sequence[float], margin: float) -> float | None:
    """p of the claim that the mean of paired differences lies within ± margin (> 0); None for one difference.

    The larger p of two one-sided t tests, that of the side on which the mean lies:
    P(t(n - 1) <= (|mean| - margin) / (s / sqrt n)).
    Source: Schuirmann 1987 (TOST).
    """
    n = len(differences)
    if n < 2:
        return None
    excess, error = abs(float(np.mean(differences))) - margin, _standard_error(differences)
    if error == 0:
        return 0.0 if excess < 0 else 1.0
    from scipy.special import stdtr

    return float(stdtr(n - 1, excess / error))


@dataclass(frozen=True)
class Proportion:
    """Successes of n, and the 95 % confidence interval of their share."""

    successes: int
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.successes}/{self.n} ({self.low:.2g} to {self.high:.2g})"


def wilson(successes: int, n: int) -> Proportion:
    """Wilson's score interval of a share: covers 95 % on average even at n = 3; 0 to 1 when n is 0.

    (k + z²/2 ± z sqrt(k (n - k) / n + z²/4)) / (n + z²) with z = 1.96. Source: Wilson 1927.
    """
    from scipy.special import ndtri

    z = float(ndtri(0.5 + LEVEL / 2))
    half = z * sqrt(successes * (n - successes) / max(n, 1) + z**2 / 4)
    low, high = ((successes + z**2 / 2 + side * half) / (n + z**2) for side in (-1, 1))
    return Proportion(successes, n, low, high if successes < n else 1.0)  # 1 but for rounding


@dataclass(frozen=True)
class Bracket:
    """Where collapse ends on an axis of doses: after `collapsed`, the last dose with it, and by `safe`, the next.

    `collapsed` is None if no dose collapsed, `safe` if the last one did: then the end lies off the axis.
    """

    collapsed: float | None
    safe: float | None


def bracket(doses: Sequence[float], collapsed: Sequence[bool]) -> Bracket:
    """Where collapse ends for one seed; doses in order towards health, descending for a lever that harms."""
    end = max((place for place, yes in enumerate(collapsed, start=1) if yes), default=0)
    axis = (None, *doses, None)
    return Bracket(axis[end], axis[end + 1])


@dataclass(frozen=True)
class Threshold:
    """The median over n seeds of the dose at which collapse ends, and the interval that holds it.

    `confidence` is what the interval attains: at least .95 from six seeds on, .75 with three, None with one.
    """

    estimate: Bracket
    interval: Bracket
    confidence: float | None
    n: int


def threshold(brackets: Sequence[Bracket], doses: Sequence[float]) -> Threshold:
    """Median dose where collapse ends, from one bracket per seed (at least one) and the axis they lie on.

    Nothing is assumed of the thresholds' distribution. Seeds are the unit: the runs of one seed share data and
    initialisation, so a fit to all runs would count it once per dose. The interval reaches from the r-th lowest
    bracket to the r-th highest, for the largest r with 1 - 2 P(Binomial(n, 1/2) < r) >= .95; if there is none, for
    r = 1. A bracket may span several doses where runs are missing. Source: Thompson 1936 (order statistics).
    """
    n, axis = len(brackets), (None, *doses, None)
    lows = sorted(axis.index(b.collapsed) for b in brackets)
    highs = sorted(axis.index(b.safe, 1) for b in brackets)
    r = max((r for r in range(1, n // 2 + 1) if _coverage(n, r) >= LEVEL), default=1)
    return Threshold(
        estimate=Bracket(axis[lows[(n - 1) // 2]], axis[highs[n // 2]]),
        interval=Bracket(axis[lows[r - 1]], axis[highs[n - r]]),
        confidence=_coverage(n, r) if n > 1 else None,
        n=n,
    )


def _coverage(n: int, r: int) -> float:
    """Chance that the median lies between the r-th lowest and the r-th highest of n draws."""
    return 1 - sum(comb(n, i) for i in range(r)) * 0.5 ** (n - 1)


def pareto(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other beats: as small in both coordinates and smaller in one. Equal points stay together.

    By the first coordinate upwards, each that is on the front has a smaller second one than all before it.
    """
    front, lowest = set[tuple[float, float]](), inf
    for point in sorted(set(points)):
        if point[1] < lowest:
            front.add(point)
            lowest = point[1]
    return [point in front for point in points]
