"""Where collapse lives: two settings, and the share of runs that collapsed at each of their combinations."""

import altair as alt
import pandas as pd

from moe_lab.figures import style
from moe_lab.figures.arms import Arm, Arms, is_number
from moe_lab.figures.base import Absent, Chart, Drawn, Figure
from moe_lab.report.sweep_pages import short_names
from moe_lab.statistics import wilson

NAME, TITLE = "phase", "Share of runs that collapsed, by two settings"
PANELS = 6  # combinations of the other settings, at most
CELL, NARROW = (64, 40), 160  # pixels of a cell, and the least of a panel
PALE, DARK = "#f4ece2", "#b3304a"  # of no and of all runs
ON_PALE, ON_DARK, TURN = (
    "#33261c",
    "#ffffff",
    0.6,
)  # text on them, and the share at which it changes


def phase(arms: Arms) -> Drawn:
    """A cell per combination of the first two settings, in a panel per combination of the others."""
    varied = tuple(key for key in arms.keys if len({arm.words[key] for arm in arms.arms}) > 1)
    if len(varied) < 2:
        only = f"only {short_names(arms.keys)[varied[0]]} varies" if varied else "no setting varies"
        return Absent(NAME, TITLE, f"{only}: sweep two, such as `moe-lab sweep alpha noise`")
    cells = rows(arms, varied)
    if not cells["n"].any():
        return Absent(NAME, TITLE, "no run has a verdict yet")
    panels = list(dict.fromkeys(cells["panel"]))
    hidden = (
        f" {PANELS} of {len(panels)} combinations of the others." if len(panels) > PANELS else ""
    )
    reading = (
        "Runs that end collapsed, of those that finished: their worst layer's verdict. A dash: none has finished. "
        f"Pointing at a cell gives Wilson's 95 % interval of the share.{hidden} {arms.reading}"
    )
    shown = cells[cells["panel"].isin(panels[:PANELS])]
    return Figure(NAME, TITLE, reading, _chart(arms, varied, shown, panels[:PANELS]))


def rows(arms: Arms, varied: tuple[str, ...]) -> pd.DataFrame:
    """Of each arm the place of its cell, how many runs collapsed, of how many, and between which shares."""
    first, second, *others = varied
    names = short_names(arms.keys)
    return pd.DataFrame(
        {
            **{"point": arm.point, "x": arm.words[first], "y": arm.words[second]},
            "panel": ", ".join(f"{names[key]} {arm.words[key]}" for key in others),
            **_share(arm),
        }
        for arm in arms.arms
    )


def _share(arm: Arm) -> dict[str, object]:
    verdicts = [run.outcomes["verdict"] for run in arm.runs]
    known = [verdict for verdict in verdicts if verdict is not None]
    if not known:
        return {"n": 0, "words": "-"}
    found = wilson(known.count("collapsed"), len(known))
    share = {"share": found.successes / found.n, "low": found.low, "high": found.high}
    return {"n": found.n, "words": f"{found.successes}/{found.n}", **share}


def _chart(arms: Arms, varied: tuple[str, ...], cells: pd.DataFrame, panels: list[str]) -> Chart:
    across, up = (_ordered(arms, key) for key in varied[:2])
    names = short_names(arms.keys)
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelAngle=0, labelLimit=140)
    apart = alt.Scale(paddingInner=0.04)
    base = alt.Chart().encode(
        alt.X("x:N", sort=across, title=names[varied[0]], axis=axis, scale=apart),
        alt.Y("y:N", sort=up[::-1], title=names[varied[1]], axis=axis, scale=apart),
    )
    scale = alt.Scale(domain=[0, 1], range=[PALE, DARK])
    legend = alt.Legend(format=".0%", gradientLength=160, tickCount=3)
    colour = alt.Color("share:Q", title="share of runs that collapsed", scale=scale, legend=legend)
    dark = {"test": f"datum.share > {TURN}", "value": ON_DARK}
    ink = alt.ColorValue(ON_PALE, condition=dark)
    words, ran = base.encode(text="words:N"), "datum.n > 0"
    seen = {"opacity": style.emphasis(of_runs=False), "tooltip": _told(names, varied)}
    layer = alt.layer(
        base.transform_filter(ran).mark_rect().encode(color=colour, **seen),
        words.transform_filter(ran).mark_text(fontSize=12).encode(color=ink),
        words.transform_filter(f"!({ran})").mark_text(color=style.MUTED),
        data=cells,
    ).properties(width=max(NARROW, CELL[0] * len(across)), height=CELL[1] * len(up))
    if len(panels) == 1:
        return layer
    return layer.facet(alt.Facet("panel:N", title=None, sort=panels), columns=3)


def _ordered(arms: Arms, key: str) -> list[str]:
    """The words of a setting: numbers ascending, all else in the order of the arms."""
    values = {arm.words[key]: arm.settings[key] for arm in arms.arms}
    if all(map(is_number, values.values())):
        return sorted(values, key=lambda word: float(values[word]))
    return list(values)


def _told(names: dict[str, str], varied: tuple[str, ...]) -> list[alt.Tooltip]:
    places = [
        alt.Tooltip(f"{at}:N", title=names[key]) for at, key in zip("xy", varied, strict=False)
    ]
    shares = {"low": "share from", "high": "to"}
    return [
        *places,
        alt.Tooltip("words:N", title="collapsed"),
        *(alt.Tooltip(f"{end}:Q", title=title, format=".2f") for end, title in shares.items()),
    ]
