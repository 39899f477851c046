"""Fewer points than steps, with every extreme kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

BINS = 100  # of steps, at most


def binned(steps: NDArray[np.int64], most: int = BINS) -> NDArray[np.int64]:
    """The bin of each step, from 0: as many distinct steps in each as can be. Steps need not be sorted or distinct."""
    distinct, place = np.unique(steps, return_inverse=True)
    bins = min(most, len(distinct))
    return place * bins // max(len(distinct), 1)


def extremes(table: "pd.DataFrame", value: str, by: list[str], most: int = BINS) -> "pd.DataFrame":
    """The rows that hold the least and the greatest `value` of their bin of steps, in each group of `by`.

    The order of rows is kept, the index must be unique. A bin without any value keeps its first row: a gap stays one.
    """
    keys = [table[name] for name in by] + [binned(table["step"].to_numpy(), most)]
    low = table[value].fillna(np.inf).groupby(keys, observed=True, dropna=False).idxmin()
    high = table[value].fillna(-np.inf).groupby(keys, observed=True, dropna=False).idxmax()
    return table[table.index.isin([*low, *high])]


@dataclass(frozen=True)
class Spans:
    """Bins of steps, and one number per bin and column."""

    first: NDArray[np.int64]  # (B,) first step of each
    last: NDArray[np.int64]  # (B,) where it ends: the first step of the next
    value: NDArray[np.float64]  # (B, E); not a number where a bin has none


def furthest(steps: NDArray[np.int64], share: NDArray[np.float64], most: int = BINS) -> Spans:
    """Of each bin and expert the relative load furthest from 1, as a ratio: 0 is further than any other.

    steps: (S,) in any order; share: (S, E) loads times E.
    """
    return _spans(steps, share, _furthest, most)


def lowest(steps: NDArray[np.int64], values: NDArray[np.float64], most: int = BINS) -> Spans:
    """The least of each bin and column; steps (S,) in any order, values (S, E)."""
    return _spans(steps, values, np.fmin.reduce, most)


def means(steps: NDArray[np.int64], values: NDArray[np.float64], most: int = BINS) -> Spans:
    """The mean of each bin and column: where rows sum to 1, so do these."""
    return _spans(steps, values, _mean, most)


def highest(steps: NDArray[np.int64], values: NDArray[np.float64], most: int = BINS) -> Spans:
    """The greatest of each bin and column."""
    return _spans(steps, values, np.fmax.reduce, most)


def _spans(
    steps: NDArray[np.int64],
    values: NDArray[np.float64],
    of: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    most: int,
) -> Spans:
    """Bins of steps with one row of numbers `of` the rows of each."""
    order = np.argsort(steps, kind="stable")
    starts = np.flatnonzero(np.diff(binned(steps, most)[order], prepend=-1))
    first = steps[order][starts]
    last = np.append(first[1:], _end(steps))[: len(first)]
    in_order = (
        values if (np.diff(order) == 1).all() else values[order]
    )  # no copy of what may be large
    found = [of(block) for block in np.split(in_order, starts[1:])[: len(starts)]]
    return Spans(first, last, np.array(found).reshape(-1, values.shape[1]))


def _end(steps: NDArray[np.int64]) -> int:
    """Where the last step ends: as far beyond it as steps usually lie apart."""
    apart = np.diff(np.unique(steps))
    return int(steps.max(initial=0) + (np.median(apart) if len(apart) else 1))


def _furthest(block: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.fmin.reduce(block)
    high = np.fmax.reduce(block)
    above = high * found >= 1
    found[above] = high[above]
    return found


def _mean(block: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(block)
    total, count = np.where(known, block, 0).sum(axis=0), known.sum(axis=0)
    mean: NDArray[np.float64] = np.where(count > 0, total, np.nan)
    mean /= np.maximum(count, 1)
    return mean
