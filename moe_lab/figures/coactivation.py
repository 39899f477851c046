"""Which experts work on the same tokens, beyond what their load alone implies."""

from dataclasses import dataclass
from math import isnan, nan

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_lab.figures import evaluations, panels
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.figures.load_heatmap import LevelScale
from moe_lab.figures.subject import Subject
from moe_lab.metrics.pairs import FreePairs, free_pairs

NAME, TITLE = "coactivation", "Experts that share tokens"
EXPERTS = 64  # the most loaded ones of a layer
CELLS = 3600  # of all panels
SIDE = 270  # pixels of a panel
LIMIT = 3.0  # doublings that the colours reach
ONE = "every token goes to one expert (k = 1): none share any"
ALL = "every token goes to all experts (k = E)"
DECIDED = "the loads of the experts decide every pair"
READING = (
    "Held-out data of the last evaluation: tokens that two experts share, relative to what picks by load alone would "
    "share, one token added to both; white (fair): as many. Those that go together stand together. coactivation: "
    "share of pairs that would be others by load alone; by chance it reads its floor."
)


def coactivation(subject: Subject) -> Drawn:
    """Every two experts' shared tokens relative to picks by load alone, of the drawn layers that show most of it."""
    if subject.top_k in (1, subject.n_experts):
        return Absent(NAME, TITLE, ONE if subject.top_k == 1 else ALL)
    if not subject.frames.array_steps:
        return Absent(NAME, TITLE, evaluations.NONE)
    step = subject.frames.array_steps[-1]
    found = _pairs(subject, step)
    if not found:
        return Absent(NAME, TITLE, DECIDED if subject.layers else evaluations.NO_LAYER)
    charts = [_map(pairs, _title(subject, layer, step)) for layer, pairs in sorted(found.items())]
    words = _fewer(subject, found)
    return Figure(NAME, TITLE, READING + words, panels.beside(charts))


@dataclass(frozen=True)
class Pairs:
    """The most loaded experts of a layer, in an order that puts those together that go together."""

    experts: tuple[str, ...]
    tokens: NDArray[np.int64]  # (n, n) that two share
    expected: NDArray[np.float64]  # (n, n) by load alone

    @classmethod
    def of(cls, counts: NDArray[np.int64], free: FreePairs) -> "Pairs":
        """From the tokens N_ij (E, E) that experts share."""
        loaded = free.expected.diagonal().argsort(kind="stable")[::-1][:EXPERTS]
        expected = free.expected[np.ix_(loaded, loaded)]
        tokens = counts[np.ix_(free.experts[loaded], free.experts[loaded])]
        direction = np.linalg.eigh(_levels(tokens, expected))[1][:, -1]
        order = (direction * np.copysign(1, direction[0])).argsort(kind="stable")
        two = np.ix_(order, order)
        names = map(str, free.experts[loaded][order])
        return cls(tuple(names), tokens[two], expected[two])

    def rows(self) -> pd.DataFrame:
        """One row for every two experts a, b: their tokens, the expected ones, and the clipped level."""
        a, b = np.tril_indices(len(self.experts), -1)
        names = np.array(self.experts, dtype=object)
        levels = _levels(self.tokens, self.expected)[a, b].clip(-LIMIT, LIMIT)
        return pd.DataFrame(
            {
                "a": names[a],
                "b": names[b],
                "tokens": self.tokens[a, b],
                "expected": self.expected[a, b].round(1),
                "level": levels.round(2),
            }
        )


def _levels(tokens: NDArray[np.int64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Doublings of what load implies (n, n), 0 on the diagonal. One more token tames pairs that expect hardly any."""
    levels: NDArray[np.float64] = np.log2((tokens + 1) / (expected + 1))
    np.fill_diagonal(levels, 0)
    return levels


def _pairs(subject: Subject, step: int) -> dict[int, Pairs]:
    """By layer, as many as CELLS allows, those of most coactivation."""
    counts = evaluations.counts(subject, step, "coactivation")
    size = min(EXPERTS, subject.n_experts)
    measured = {layer: _measured(subject, layer, step)[0] for layer in counts}
    ranked = sorted(counts, key=lambda layer: -np.nan_to_num(measured[layer]))
    kept = ranked[: max(1, 2 * CELLS // size**2)]
    free = {layer: free_pairs(counts[layer], top_k=subject.top_k) for layer in kept}
    return {layer: Pairs.of(counts[layer], left) for layer, left in free.items() if left}


def _measured(subject: Subject, layer: int, step: int) -> tuple[float, float]:
    """coactivation and its floor; both 0 where load decides every pair, nan where they are not known."""
    table = subject.frames.router
    rows = table[(table["layer"] == layer) & (table["step"] == step)]
    known = rows.reindex(columns=["coactivation", "coactivation_floor"]).dropna().to_numpy()
    return tuple(known[0].tolist()) if len(known) else (nan, nan)


def _title(subject: Subject, layer: int, step: int) -> alt.TitleParams:
    found, floor = _measured(subject, layer, step)
    words = "" if isnan(found) else f"coactivation {found:.2f}, by chance {floor:.2f}"
    return panels.title(f"layer {layer}", words)


def _fewer(subject: Subject, drawn: dict[int, Pairs]) -> str:
    words = ""
    if any(len(pairs.experts) == EXPERTS for pairs in drawn.values()):
        words += f" The {EXPERTS} most loaded experts."
    if len(drawn) < len(subject.courses):
        words += f" {len(drawn)} of {len(subject.courses)} MoE layers."
    return words


def _map(pairs: Pairs, title: alt.TitleParams) -> alt.Chart:
    *columns, _ = pairs.experts
    _, *rows = pairs.experts
    tooltips = {
        "a:N": "expert",
        "b:N": "with expert",
        "tokens:Q": "tokens shared",
        "expected:Q": "by load alone",
    }
    chart: alt.Chart = (
        alt.Chart(pairs.rows())
        .mark_rect()
        .encode(
            x=alt.X("b:N", sort=columns, title="expert", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("a:N", sort=rows, title="expert"),
            color=LevelScale(LIMIT, clipped=True).coloured.title("shared tokens / by load alone"),
            tooltip=[alt.Tooltip(field, title=words) for field, words in tooltips.items()],
        )
        .properties(width=SIDE, height=SIDE, title=title)
    )
    return chart
