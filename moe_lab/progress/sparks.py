"""The course of a number over a run as one short line of characters."""

from math import isfinite

import numpy as np

POINTS = 128  # means that are kept of a series, at most; even: two become one when there are more


class Series:
    """A series of any length, as at most POINTS means of equally many values each. What is not finite is left out."""

    def __init__(self) -> None:
        self.ends: tuple[float, float] | None = None  # the first value and the last
        self._means: list[float] = []
        self._each = 1  # values in a mean
        self._sum, self._waiting = 0.0, 0  # those of the next mean

    def add(self, value: float) -> None:
        """The next value."""
        if not isfinite(value):
            return
        self.ends = (self.ends[0] if self.ends else value), value
        self._sum, self._waiting = self._sum + value, self._waiting + 1
        if self._waiting == self._each:
            self._means.append(self._sum / self._each)
            self._sum, self._waiting = 0.0, 0
        if len(self._means) == POINTS:
            self._means = np.reshape(self._means, (-1, 2)).mean(1).tolist()
            self._each *= 2

    def drawn(self, width: int, glyphs: str, *, lowest: float | None = None) -> str:
        """The course as at most `width` glyphs, of which the first stands for `lowest`, or for the smallest mean."""
        means = self._means
        if not means or width < 1:
            return ""
        parts = np.array_split(means, min(width, len(means)))
        values = np.array([part.mean() for part in parts])
        low = float(values.min()) if lowest is None else lowest
        span = float(values.max()) - low or 1.0
        levels = ((values - low) / span * (len(glyphs) - 1)).round().astype(int)
        return "".join(glyphs[level] for level in levels)
