"""What experts know: which domains and tokens each of them gets, and how much that tells."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_lab.figures import evaluations, panels, style, timeline
from moe_lab.figures.base import Absent, Chart, Drawn, Figure
from moe_lab.figures.shares import Shares, numbered
from moe_lab.figures.subject import Subject

DOMAIN = "by-domain", "Which expert gets which domain"
TOKEN = "by-token", "Which expert gets which token"
COURSE = "specialization", "What experts tell about domain and token"

EVALUATIONS = 4  # at most, of the worst layer
CELLS = 4000  # of all panels
TOKENS = 40
SHORT = 3  # characters of a label that stands upright
NUMBERED = 8  # columns up to which cells are written on
FLAT = 0.1  # the least height of an axis of information: what is nearly nothing looks so
MEASURES = ("nmi", "conditional_nmi", "token_specialization")


def by_domain(subject: Subject) -> Drawn:
    """Share of each domain's assignments that each expert gets: of the drawn layers at the last evaluation, and of the
    worst one at up to EVALUATIONS.
    """
    domains = subject.frames.record["data"]["domains"]
    if len(domains) < 2:
        return Absent(*DOMAIN, "the data have no domains to tell apart")
    if not subject.frames.array_steps:
        return Absent(*DOMAIN, evaluations.NONE)
    found = _domains(subject)
    if not found:
        return Absent(*DOMAIN, evaluations.NO_LAYER)
    most = _rows(len(found) * len(domains))
    shares = {place: _of_domains(counts, domains, most) for place, counts in found.items()}
    before = sorted(step for _, step in shares)[:-1]
    earlier = f"; of layer {subject.worst_layer} earlier ones, too" if before else ""
    reading = (
        f"Held-out data of the last evaluation{earlier}. A column sums to 100 %: where all columns of a panel are "
        f"alike, its experts do not tell domains apart.{_others(subject, most)}{subject.hidden}"
    )
    return Figure(*DOMAIN, reading, _domain_maps(shares))


def by_token(subject: Subject) -> Drawn:
    """Share of each frequent token's assignments that each expert gets, of the drawn layers at the last evaluation."""
    if not subject.frames.array_steps:
        return Absent(*TOKEN, evaluations.NONE)
    found = evaluations.counts(subject, subject.frames.array_steps[-1], "expert_by_token")
    if not found:
        return Absent(*TOKEN, evaluations.NO_LAYER)
    most = _rows(len(found) * TOKENS)
    seen = next(iter(found.values())).sum(0)  # in every layer the same
    frequent = [int(t) for t in seen.argsort(kind="stable")[::-1][:TOKENS] if seen[t]]
    names = _names(subject, frequent)
    shares = {
        layer: Shares.of(counts[:, frequent], names, most).by_favourite()
        for layer, counts in found.items()
    }
    reading = (
        f"Held-out data of the last evaluation, its {len(frequent)} most frequent tokens, in the order of the expert "
        f"that gets most of them. A row sums to 100 %.{_others(subject, most)}{subject.hidden}"
    )
    return Figure(*TOKEN, reading, _token_maps(subject, shares))


def specialization(subject: Subject) -> Drawn:
    """nmi, conditional_nmi and token_specialization of each drawn layer at each evaluation."""
    table = subject.frames.router
    shown = table[table["layer"].isin(subject.layers)].reindex(columns=["step", "layer", *MEASURES])
    known = [name for name in MEASURES if shown[name].notna().any()]
    if not known:
        return Absent(*COURSE, "no evaluation has measured it yet")
    charts = [_course(shown[["step", "layer", name]].dropna(), name) for name in known]
    reading = (
        "Held-out data, each evaluation. 0: chance, what shuffled labels show, which is taken off. 1: the expert tells "
        "the label, or for tokens one of the two tells the other."
    )
    return Figure(*COURSE, reading + subject.hidden, panels.beside(charts))


def _rows(columns: int) -> int:
    """Of experts, for so many columns of all panels."""
    return min(style.EXPERTS + 1, max(2, CELLS // columns))


def _others(subject: Subject, most: int) -> str:
    alone = most - 1
    return f" The {alone} most loaded experts and the others." if subject.n_experts > most else ""


def _domains(subject: Subject) -> dict[tuple[int, int], NDArray[np.int64]]:
    """Assignments (E, K) by layer and step: the last evaluation's, then earlier ones of the worst layer."""
    *before, last = subject.frames.array_steps
    wanted = min(EVALUATIONS - 1, len(before))
    chosen = np.linspace(0, len(before), wanted, endpoint=False).astype(int)
    earlier = {
        (layer, before[i]): counts
        for i in chosen
        for layer, counts in evaluations.counts(subject, before[i], "expert_by_domain").items()
        if layer == subject.worst_layer
    }
    ends = evaluations.counts(subject, last, "expert_by_domain")
    return {(layer, last): counts for layer, counts in ends.items()} | earlier


def _of_domains(counts: NDArray[np.int64], domains: Sequence[str], most: int) -> Shares:
    seen = np.flatnonzero(counts.sum(0)).tolist()
    return Shares.of(counts[:, seen], [domains[i].removeprefix("domain_") for i in seen], most)


def _domain_maps(shares: dict[tuple[int, int], Shares]) -> Chart:
    largest = max(float(found.share.max()) for found in shares.values())
    maps = []
    for (layer, step), found in shares.items():
        x = alt.X("label:N", sort=list(found.labels), title="domain", axis=_axis(found.labels))
        y = alt.Y("expert:N", sort=list(found.experts), title="expert")
        cells = found.cells(x, y, of="domain", largest=largest)
        size = {"width": style.PANEL[0], "height": 18 * len(found.experts)}
        maps.append(
            (numbered(cells, largest) if len(found.labels) <= NUMBERED else cells).properties(
                **size, title=panels.title(f"layer {layer}", f"step {step}")
            )
        )
    return panels.beside(maps)


def _axis(labels: Sequence[str]) -> alt.Axis:
    """Long names need a slant."""
    return alt.Axis(labelAngle=-40 if max(map(len, labels)) > SHORT else 0)


def _token_maps(subject: Subject, shares: dict[int, Shares]) -> Chart:
    largest = max(float(found.share.max()) for found in shares.values())
    maps = []
    for layer, found in shares.items():
        x = alt.X("expert:N", sort=list(found.experts), title="expert", axis=_axis(found.experts))
        axis = alt.Axis(labelOverlap=False, labelFontSize=10)
        y = alt.Y("label:N", sort=list(found.labels), title="token", axis=axis)
        size = {"width": 17 * max(len(found.experts), 10), "height": 12 * len(found.labels)}
        cells = found.cells(x, y, of="token", largest=largest)
        maps.append(
            cells.properties(
                **size, title=panels.title(f"layer {layer}", panels.said(subject, layer))
            )
        )
    return panels.beside(maps)


def _names(subject: Subject, tokens: Sequence[int]) -> list[str]:
    """Tokens as they are written: the character of a byte, else the id."""
    data = subject.frames.config.get("data", {})
    of_bytes = data.get("source") == "text" and data["dtype"] == "bytes" and not data["tokenizer"]
    return [_character(token) if of_bytes else str(token) for token in tokens]


def _character(byte: int) -> str:
    return "space" if byte == ord(" ") else ascii(chr(byte))[1:-1].replace("\\\\", "\\")


def _course(rows: pd.DataFrame, name: str) -> Chart:
    domain = [min(0.0, float(rows[name].min())), max(FLAT, float(rows[name].max()))]
    measured = timeline.Measured(name, rows, alt.Scale(domain=domain, nice=True))
    return alt.layer(*timeline.references(name, {"chance": 0}), measured.line())
