"""Each expert's load over time, relative to its fair share, as colours."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from moe_lab.figures import panels, style, thinning
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.figures.ending import Ending
from moe_lab.figures.subject import Subject

NAME, TITLE = "load-heatmap", "Expert load over time, relative to the fair share"
ROWS = 64  # experts with a row each
ENDS = 8  # experts with a row of their own at either end of more
MIDDLE = 16  # rows of the others
CELLS = 14_000  # of all panels together, at most
FURTHEST = 8  # times fair, from which on colours differ no more
NOTHING = "#9ecae1"  # on the darkest blue


@dataclass(frozen=True)
class Rows:
    """What the rows of a heat map are, from the top."""

    groups: Sequence[NDArray[np.intp]]  # experts of each
    labels: Sequence[str]
    title: str

    @classmethod
    def of(cls, end: Ending) -> "Rows":
        """One row per expert by its index; of more than ROWS by rank, with groups in the middle."""
        n_experts = len(end.load)
        if n_experts <= ROWS:
            return cls(
                np.split(np.arange(n_experts), n_experts),
                list(map(str, range(n_experts))),
                "expert",
            )
        top, middle, bottom = np.split(end.ranked, [ENDS, n_experts - ENDS])
        groups = [*np.split(top, ENDS), *np.array_split(middle, MIDDLE), *np.split(bottom, ENDS)]
        return cls(groups, _ranks(groups), "experts by rank of load at the end")

    def relative(self, loads: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean load of each row's experts, times E: (S, E) to (S, rows)."""
        means = [loads[:, group].mean(axis=1) for group in self.groups]
        relative: NDArray[np.float64] = loads.shape[1] * np.stack(means, axis=1)
        return relative


def _ranks(groups: Sequence[NDArray[np.intp]]) -> list[str]:
    lasts = np.cumsum([len(group) for group in groups]).tolist()
    firsts = [1, *(last + 1 for last in lasts)]
    return [
        str(last) if first == last else f"{first}–{last}"
        for first, last in zip(firsts, lasts, strict=False)
    ]


def load_heatmap(subject: Subject) -> Drawn:
    """Expert by step for each drawn layer; each cell the load of its bin that is furthest from fair."""
    if not subject.trained:
        return Absent(NAME, TITLE, "no step of a MoE layer is logged yet")
    charts = [_panel(subject, layer) for layer in subject.trained]
    return Figure(NAME, TITLE, _reading(subject), panels.beside(charts))


def _reading(subject: Subject) -> str:
    groups = (
        f" Rows: all {subject.n_experts} experts by their load at the end, the {ENDS} most and the {ENDS} least "
        "loaded by themselves, those between as means of groups."
    )
    return (
        "Each cell: of the training batches in its steps the load furthest from fair as a ratio, 0 being furthest. "
        "White: fair. A light line through a cell: no token at all. Dashed rule: a collapse began."
        f"{groups if subject.n_experts > ROWS else ''}{subject.hidden}"
    )


def _panel(subject: Subject, layer: int) -> Any:
    rows, (steps, loads) = Rows.of(subject.endings[layer]), subject.trained[layer]
    most = min(thinning.BINS, CELLS // (len(rows.groups) * len(subject.trained)))
    bins = thinning.furthest(steps, rows.relative(loads), most)
    scale = LevelScale.of(subject)
    base = (
        panels.flattened("relative")
        .transform_filter("isValid(datum.relative)")
        .transform_calculate(
            level=f"clamp(log(datum.relative) / LN2, -{scale.limit}, {scale.limit})"
        )
        .encode(
            x=panels.step_axis(bins, "start"),
            x2=alt.X2("end:Q"),
            y=alt.Y("label:O", sort=list(rows.labels), title=rows.title),
            tooltip=[
                alt.Tooltip("steps:N"),
                alt.Tooltip("label:N", title=rows.title),
                scale.tooltip,
            ],
        )
    )
    nothing = base.transform_filter("datum.relative === 0")
    return alt.layer(
        base.mark_rect().encode(color=scale.coloured),
        nothing.mark_rule(color=NOTHING, strokeWidth=1),
        *panels.onset_rules(subject, layer),
        data=panels.over_bins(rows.labels, relative=bins),
        **panels.frame(subject, layer, height=_height(len(rows.groups))),
    )


def _height(rows: int) -> int:
    return min(26 * rows, style.PANEL[1] if rows <= style.EXPERTS else 240)


@dataclass(frozen=True)
class LevelScale:
    """Colours of loads in doublings of the fair share, as far as `limit` either way."""

    limit: float
    clipped: bool  # whether there may be larger loads

    @classmethod
    def of(cls, subject: Subject) -> "LevelScale":
        """As far as FURTHEST, or as the largest load there is: E/k times fair."""
        largest = subject.n_experts / subject.top_k
        return cls(log2(max(2, min(FURTHEST, largest))), largest > FURTHEST)

    @property
    def tooltip(self) -> alt.Tooltip:
        """The load itself."""
        return alt.Tooltip("relative:Q", title="load / fair share")

    @property
    def coloured(self) -> alt.Color:
        """Colour by the field `level`."""
        levels = sorted({*range(-int(self.limit), int(self.limit) + 1), -self.limit, self.limit})
        words = json.dumps({level: self._said(level) for level in levels}, ensure_ascii=False)
        shades = len(style.BELOW_TO_ABOVE)
        return alt.Color(
            "level:Q",
            title="load / fair share",
            scale=alt.Scale(
                domain=np.linspace(-self.limit, self.limit, shades).tolist(),
                range=list(style.BELOW_TO_ABOVE),
                interpolate="lab",
            ),
            legend=alt.Legend(values=levels, labelExpr=f"{words}[datum.value]", gradientLength=280),
        )

    def _said(self, level: float) -> str:
        if level == 0:
            return "fair"
        if level < 0:
            return f"{'≤ ' if level == -self.limit else ''}1/{2**-level:.3g}"
        return f"{'≥ ' if level == self.limit and self.clipped else ''}{2**level:.3g}×"
