"""Means over paired seeds and how well they are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over n seeds, and half the width of its 95 % confidence interval; None for one seed."""

    mean: float
    half_width: float | None
    n: int

    def __str__(self) -> str:
        if self.half_width is None:
            return f"{self.mean:.4g} (n = 1: an anecdote)"
        return f"{self.mean:.4g} +/- {self.half_width:.2g}"


def interval(values: Sequence[float]) -> Interval:
    """Student's t interval of the mean: right for normal values, whatever their variance.

    half_width = t(0.975, n - 1) * s / sqrt(n) with the sample standard deviation s.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, None, n)
    from scipy.special import stdtrit  # here: a fifth of a second that one run does not need

    quantile = float(stdtrit(n - 1, 0.5 + LEVEL / 2))
    return Interval(mean, quantile * float(np.std(values, ddof=1)) / sqrt(n), n)


def paired(values: Sequence[float], baseline: Sequence[float]) -> Interval:
    """Interval of the mean difference between two arms that share their seeds, in one order."""
    return interval([a - b for a, b in zip(values, baseline, strict=True)])
