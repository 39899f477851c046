"""A swept setting as an axis: where its values stand, zero too, and what is written there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10
from statistics import fmean, pstdev

import altair as alt

from moe_lab.report.render import cell

GEOMETRIC = 4  # the least ratio of largest to smallest value that makes a logarithmic axis


@dataclass(frozen=True)
class Doses:
    """Values of a numeric setting at their places: evenly spaced ratios at even distances where they are ratios.

    On a logarithmic axis the place of a value is its log10; zero stands one step left of the smallest value, a step
    being the mean distance of neighbours, and the axis is broken between the two.
    """

    title: str
    values: tuple[float, ...]  # ascending, distinct

    @property
    def is_log(self) -> bool:
        """Whether the values above zero are spaced by a ratio, more evenly than by a difference; none is below zero."""
        positive = self._positive
        if self.values[0] < 0 or len(positive) < 2 or positive[-1] < GEOMETRIC * positive[0]:
            return False
        ratios, distances = _unevenness([log10(v) for v in positive]), _unevenness(self.values)
        return ratios < distances or len(self.values) == 2

    @property
    def places(self) -> dict[float, float]:
        """Where each value stands."""
        if not self.is_log:
            return {value: float(value) for value in self.values}
        found = {value: log10(value) for value in self._positive}
        return {0: self.zero, **found} if 0 in self.values else found

    @property
    def zero(self) -> float:
        """Where zero stands on a logarithmic axis."""
        low, high = log10(self._positive[0]), log10(self._positive[-1])
        return low - (high - low) / (len(self._positive) - 1)

    @property
    def gap(self) -> float | None:
        """Where the axis is broken; None if it is not."""
        if not self.is_log or 0 not in self.values:
            return None
        return (self.zero + log10(self._positive[0])) / 2

    @property
    def ends(self) -> tuple[float, float]:
        """The places at which a picture ends, with room beside the first and the last value."""
        places = sorted(self.places.values())
        room = 0.06 * (places[-1] - places[0] or 1)
        return places[0] - room, places[-1] + room

    def x(self, name: str = "at") -> alt.X:
        """The channel, its ticks the values."""
        places = self.places
        words = {f"{place:.6g}": cell(float(value)) for value, place in places.items()}
        axis = alt.Axis(
            values=[float(f"{place:.6g}") for place in places.values()],
            labelExpr=_looked_up(words),
            grid=False,
        )
        scale = alt.Scale(domain=list(self.ends), nice=False, zero=False)
        return alt.X(f"{name}:Q", title=self.title, axis=axis, scale=scale)

    @property
    def _positive(self) -> list[float]:
        return [value for value in self.values if value > 0]


def _looked_up(words: Mapping[str, str]) -> str:
    """The label nearest to a tick: a tick's own value may be rounded."""
    table = json.dumps(words)
    return f"{table}[format(datum.value, '.6~g')] || {table}[datum.value]"


def _unevenness(values: Sequence[float]) -> float:
    """Standard deviation of the distances of neighbours, relative to their mean."""
    distances = [b - a for a, b in pairwise(values)]
    return pstdev(distances) / fmean(distances)
