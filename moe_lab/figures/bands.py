"""Means over seeds with their 95 % intervals, step by step, beside the runs they are of."""

from collections.abc import Mapping
from math import ceil, floor, log10, nan
from typing import Any

import altair as alt
import pandas as pd

from moe_lab.figures import series, style, thinning
from moe_lab.figures.arms import Arm, Arms
from moe_lab.statistics import interval

MEANS = 60  # bins of steps, at most
POINTS = 600  # of all single runs together, as far as each has FEWEST
FEWEST = 12
LOG = 20  # a ratio of largest to smallest value from which on a logarithm shows more
ARM = ["panel", "series", "point"]

Table = pd.DataFrame


def measured(arms: Arms, table: str, name: str) -> Table:
    """Long rows of one column of every run's table `steps` or `eval`: arm, run, seed, step and value; no blanks."""
    found = [
        getattr(run.frames, table)
        .reindex(columns=["step", name])
        .set_axis(["step", "value"], axis=1)
        .dropna()
        .assign(**_place(arm), run=run.name, seed=run.seed)
        for arm, run in arms.runs
    ]
    filled = [rows for rows in found if len(rows)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=["value"])


def _place(arm: Arm) -> dict[str, str]:
    return {"panel": arm.panel, "series": arm.series, "point": arm.point}


def over_seeds(rows: Table, most: int = MEANS) -> Table:
    """Rows of `kind` mean with their interval `low` to `high`, and of `kind` run where an arm has several.

    Steps are binned, at most `most` of them; a run counts once in a bin, by its mean there. One run alone has no
    interval, and keeps its name in `run`.
    """
    several = rows.groupby("point")["run"].transform("nunique") > 1
    single = _binned(rows[several], max(FEWEST, min(most, POINTS // rows["run"].nunique())))
    means = [
        {**dict(zip([*ARM, "bin"], key, strict=True)), **_interval(group)}
        for key, group in _binned(rows, most).groupby([*ARM, "bin"], sort=False)
    ]
    both = [single.assign(kind="run"), pd.DataFrame(means).assign(kind="mean")]
    return pd.concat([part for part in both if len(part)], ignore_index=True).drop(
        columns=["bin", "seed"], errors="ignore"
    )


def _binned(rows: Table, most: int) -> Table:
    bins = rows.assign(bin=thinning.binned(rows["step"].to_numpy(), most))
    keys = [*ARM, "run", "bin"]
    return bins.groupby(keys, sort=False, as_index=False)[["step", "value"]].mean()


def _interval(group: Table) -> dict[str, Any]:
    found = interval(group["value"].tolist())
    half = nan if found.half_width is None else found.half_width
    return {
        "step": group["step"].mean(),
        "value": found.mean,
        **{"low": found.mean - half, "high": found.mean + half, "n": found.n},
        "run": group["run"].iloc[0] if found.n == 1 else None,
    }


def is_wide(rows: Table) -> bool:
    """Whether values are above 0 and differ so much that a logarithmic axis shows more."""
    low, high = rows["value"].min(), rows["value"].max()
    return bool(low > 0 and high / low > LOG)


def fitting(
    rows: Table, *, log: bool | None = None, include: tuple[float, ...] = ()
) -> dict[str, Any]:
    """Scale and axis that every value fits on, logarithmic if asked or `is_wide`; intervals are cut off at its ends."""
    low, high = min([rows["value"].min(), *include]), max([rows["value"].max(), *include])
    if is_wide(rows) if log is None else log:
        ends = [low * 0.9, high * 1.1]
        scale = alt.Scale(type="log", domain=ends, nice=False)
        return {"scale": scale, "axis": alt.Axis(values=_ticks(*ends))}
    room = (high - low or abs(high) or 1) * 0.04
    return {"scale": alt.Scale(domain=[low - room, high + room], nice=False, zero=False)}


def drawn(
    arms: Arms,
    rows: Table,
    name: str,
    scale: Mapping[str, Any],
    *,
    title: str = "",
    dots: bool = False,
) -> Any:
    """A line and a band per arm, and faint lines of runs. `rows`: of `over_seeds`, perhaps `ruled`."""
    title = title or style.titled(name)
    x = alt.X("step:Q", axis=style.whole_axis())
    y = alt.Y("value:Q", title=title, **scale)
    first = alt.Y("first:Q", title=title, **scale)
    rows = _cut(rows, *scale["scale"].domain)
    look = [arms.series.coloured(), arms.series.dashed()]
    marks = {kind: _chart(arms, rows, kind) for kind in dict.fromkeys(rows["kind"])}
    means, is_lone = marks["mean"], rows[rows["kind"] == "mean"]["point"].value_counts().min() == 1
    layers = [
        means.mark_area(opacity=1)
        .transform_filter("isValid(datum.first)")
        .encode(x, first, look[0], y2="last:Q", fillOpacity=series.of_bands(_weight(rows))),
        means.mark_line(point={"size": 24} if dots or is_lone else False).encode(
            x, y, *look, opacity=series.of_arms(), tooltip=_tooltip(arms, name)
        ),
    ]
    if "run" in marks:
        layers.insert(1, _single(marks["run"], x, y, *look))
    if "rule" in marks:
        layers += _rules(marks["rule"], y)
    return _laid_out(arms, rows, layers)


def _cut(rows: Table, low: float, high: float) -> Table:
    """`first` and `last`: as much of an interval as the frame has. To let marks be clipped costs a PNG seconds."""
    if "low" not in rows:
        return rows
    return rows.assign(first=rows["low"].clip(low, high), last=rows["high"].clip(low, high))


def _weight(rows: Table) -> float:
    """Opacity of bands: those of two seeds are very wide, and would hide all else."""
    return series.BAND if rows["n"].max() > 2 else series.BAND / 3


def _ticks(low: float, high: float) -> list[float]:
    """Where a logarithmic axis has its numbers: the fewest round ones that are three or more."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        every = [float(f"{digit}e{power}") for power in powers for digit in digits]
        found = [tick for tick in every if low <= tick <= high]
        if len(found) > 2:
            break
    return found


def _chart(arms: Arms, rows: Table, kind: str) -> alt.Chart:
    """The rows of a kind: by themselves, or in panels, which have but one table, picked from that."""
    if arms.is_grid:
        return alt.Chart().transform_filter(f"datum.kind === '{kind}'")
    picked = rows[rows["kind"] == kind].dropna(axis=1, how="all")
    return alt.Chart(picked.drop(columns=["kind", "panel"], errors="ignore"))


def _single(runs: alt.Chart, *channels: Any) -> alt.Chart:
    line: alt.Chart = runs.mark_line()
    look = [series.of_single_runs(), series.chosen_width()]
    return line.encode(*channels, *look, detail="run:N")


def _rules(marked: alt.Chart, y: alt.Y) -> list[alt.Chart]:
    """Dashed lines with words at their right end."""
    return [
        marked.mark_rule(strokeDash=[3, 3], color=style.MUTED).encode(y),
        marked.mark_text(align="right", baseline="bottom", dx=-2, dy=-3, color=style.MUTED).encode(
            y, x=alt.value("width"), text="words:N"
        ),
    ]


def _laid_out(arms: Arms, rows: Table, layers: list[alt.Chart]) -> alt.LayerChart | alt.FacetChart:
    if not arms.is_grid:
        return alt.layer(*layers).properties(width=style.WIDE[0], height=style.WIDE[1])
    panel = alt.layer(*layers, data=rows).properties(width=style.PANEL[0], height=style.PANEL[1])
    panels = list(dict.fromkeys(arm.panel for arm in arms.arms))
    return panel.facet(alt.Facet("panel:N", title=None, sort=panels), columns=3)


def _tooltip(arms: Arms, name: str) -> list[alt.Tooltip]:
    words = {"series": arms.series.title or "settings", **({"panel": "at"} if arms.is_grid else {})}
    numbers = {"step": "step", "value": f"mean {name}", "low": "from", "high": "to", "n": "seeds"}
    return [
        *(alt.Tooltip(f"{field}:N", title=title) for field, title in words.items()),
        *(alt.Tooltip(f"{field}:Q", title=title) for field, title in numbers.items()),
    ]


def ruled(arms: Arms, rows: Table, rules: Mapping[str, float]) -> Table:
    """The rows with a horizontal line in each panel for every word and its value."""
    panels = dict.fromkeys(arm.panel for arm in arms.arms)
    lines = [
        {"kind": "rule", "panel": panel, "value": value, "words": words}
        for panel in panels
        for words, value in rules.items()
    ]
    return pd.concat([rows, pd.DataFrame(lines)], ignore_index=True) if lines else rows


def paired(arms: Arms, rows: Table) -> Table:
    """Every run's value less that of the baseline's run of its seed at that step; the baseline itself is left out."""
    keys = ["seed", "step"]
    reference = rows[rows["point"] == arms.baseline][[*keys, "value"]]
    others = rows[rows["point"] != arms.baseline].dropna(subset=["seed"])
    joined = others.merge(reference, on=keys, suffixes=("", "_baseline"))
    return joined.assign(value=joined["value"] - joined["value_baseline"]).drop(
        columns="value_baseline"
    )
