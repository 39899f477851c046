"""When runs collapsed for good: a strip over arms."""

import altair as alt
import pandas as pd

from moe_lab.figures import style
from moe_lab.figures.arms import Arm, Arms, Replicate
from moe_lab.figures.base import Absent, Chart, Drawn, Figure

NAME, TITLE = "onsets", "When the last collapse began"
NEVER = "did not collapse"
BESIDE = 0.14  # of the steps: how far beyond the last one runs stand that did not collapse
COLOURS = (style.VERDICTS["collapsed"], style.VERDICTS["balanced"])
ROW = 38  # pixels of an arm


def onsets(arms: Arms) -> Drawn:
    """Of each run, the step from which its worst layer stayed collapsed to the end."""
    known = [(arm, run) for arm, run in arms.runs if run.outcomes["verdict"] is not None]
    if not known:
        return Absent(NAME, TITLE, "no run has a verdict yet")
    if all(run.outcomes["collapsed_since"] is None for _, run in known):
        many = "the run" if len(known) == 1 else f"none of the {len(known)} runs"
        return Absent(NAME, TITLE, f"good news: {many} is collapsed at its end")
    data = _rows(known)
    end = data["last"].max()
    return Figure(
        NAME,
        TITLE,
        "A mark per run: the step from which its worst layer stayed collapsed to the end. Runs on the right did not "
        f"collapse, or recovered. {arms.reading}",
        _strip(arms, data, end).properties(width=style.WIDE[0], height=ROW * len(arms.arms)),
    )


def _rows(known: list[tuple[Arm, Replicate]]) -> pd.DataFrame:
    rows = []
    for arm, run in known:
        since, last = run.outcomes["collapsed_since"], int(run.frames.steps["step"].max())
        shown = {"arm": arm.label, "point": arm.point, "run": run.name, "seed": run.seed}
        rows.append(
            {
                **shown,
                "since": since,
                "last": last,
                "ended": NEVER if since is None else "collapsed",
            }
        )
    return pd.DataFrame(rows)


def _strip(arms: Arms, data: pd.DataFrame, end: int) -> Chart:
    never = round(end * (1 + BESIDE))
    data = data.assign(at=data["since"].astype(float).fillna(never).astype(int)).drop(
        columns="last"
    )
    words = f"datum.value > {end} ? '{NEVER}' : format(datum.value, 'd')"
    ticks = [*_whole(end), never]
    x = alt.X("at:Q", title="step").axis(values=ticks, labelExpr=words, grid=False)
    x = x.scale(domain=[0, end * (1 + 1.8 * BESIDE)], nice=False)
    y = alt.Y("arm:N", title=arms.title or None, sort=[arm.label for arm in arms.arms])
    rows = y.axis(labelLimit=220, grid=True, tickBand="extent", ticks=False)
    divided = alt.Chart(pd.DataFrame({"at": [end]})).mark_rule(color=style.MUTED, strokeDash=[3, 3])
    return alt.layer(
        divided.encode(x),
        alt.Chart(data)
        .mark_point(filled=True, size=50)
        .encode(x, rows, yOffset=alt.YOffset("seed:O", scale=alt.Scale(paddingOuter=0.6)))
        .encode(
            shape=alt.Shape("ended:N", title="", scale=_either(*style.SHAPES[:2])),
            color=alt.Color("ended:N", title="", scale=_either(*COLOURS)),
            opacity=style.emphasis(of_runs=True),
            tooltip=["run:N", "since:Q", "seed:O"],
        ),
    )


def _either(collapsed: str, otherwise: str) -> alt.Scale:
    return alt.Scale(domain=["collapsed", NEVER], range=[collapsed, otherwise])


def _whole(end: int) -> list[int]:
    """Round steps from 0 to the last, at most seven."""
    sizes = (digit * 10**power for power in range(9) for digit in (1, 2, 5))
    return list(range(0, end + 1, next(size for size in sizes if end // size <= 6)))
