"""Heat maps of which expert gets how much of each kind of token."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_lab.figures import style
from moe_lab.figures.base import Chart

SHADES = style.BELOW_TO_ABOVE[3::-1]  # light to dark
ON_LIGHT, ON_DARK = "#1b1f24", "#ffffff"  # numbers on a cell, whatever the page
DARK = 0.62  # of the largest share, from which on a cell is dark
DIGITS = 4  # of a share, after the point


@dataclass(frozen=True)
class Shares:
    """Of the assignments of each label, the share of each row of experts; every column sums to 1."""

    experts: tuple[str, ...]
    labels: tuple[str, ...]
    share: NDArray[np.float64]  # (experts, labels)

    @classmethod
    def of(cls, counts: NDArray[np.int64], labels: Sequence[str], most: int) -> "Shares":
        """From assignments (E, K) by labels, of which each has some: `most` rows at most, the most loaded experts
        each by itself and the others together.
        """
        n_experts = len(counts)
        alone = np.sort(counts.sum(1).argsort(kind="stable")[::-1][: most - 1])
        if n_experts <= most:
            return cls(tuple(map(str, range(n_experts))), tuple(labels), counts / counts.sum(0))
        others = counts.sum(0) - counts[alone].sum(0)
        names = (*map(str, alone), f"{n_experts - len(alone)} others")
        return cls(names, tuple(labels), np.vstack([counts[alone], others]) / counts.sum(0))

    def by_favourite(self) -> "Shares":
        """Labels in the order of the expert that gets most of them, and by how much."""
        order = np.lexsort((-self.share.max(0), self.share.argmax(0)))
        return Shares(self.experts, tuple(np.array(self.labels)[order]), self.share[:, order])

    def rows(self) -> pd.DataFrame:
        """One row per cell: expert, label and share."""
        experts, labels = np.indices(self.share.shape).reshape(2, -1)
        return pd.DataFrame(
            {
                "expert": np.array(self.experts, dtype=object)[experts],
                "label": np.array(self.labels, dtype=object)[labels],
                "share": self.share.ravel().round(DIGITS),
            }
        )

    def cells(self, x: alt.X, y: alt.Y, *, of: str, largest: float) -> alt.Chart:
        """Shaded cells. `of`: what a label is, in words; `largest`: share that is darkest."""
        shade = alt.Color(
            "share:Q",
            title=f"share of a {of}'s assignments",
            scale=alt.Scale(domain=[0, largest], range=list(SHADES), interpolate="lab"),
            legend=alt.Legend(format=".0%", gradientLength=200, titleLimit=0),
        )
        said = ["expert:N", alt.Tooltip("label:N", title=of), alt.Tooltip("share:Q", format=".1%")]
        shaded: alt.Chart = (
            alt.Chart(self.rows()).mark_rect().encode(x=x, y=y, color=shade, tooltip=said)
        )
        return shaded


def numbered(cells: alt.Chart, largest: float) -> Chart:
    """The same with each share that is not nearly 0 as a number."""
    contrast = alt.condition(
        f"datum.share > {DARK * largest}", alt.value(ON_DARK), alt.value(ON_LIGHT)
    )
    numbers = cells.transform_filter("datum.share >= 0.005").mark_text(fontSize=10)
    return alt.layer(cells, numbers.encode(text=alt.Text("share:Q", format=".0%"), color=contrast))
