"""One layer's load as streams from the router to its experts, each as broad as its share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_lab.figures import panels, style
from moe_lab.figures.ending import Ending, Part, parts

APART = 7  # of many experts, drawn by themselves
# In pixels, from the left: the router's bar, the experts' bars, the end of a share in words, and the start of a name.
WIDTH, BAR, FROM, TO, SHARE, NAME = style.PANEL[0], 9, 54, 160, 219, 226
LEVEL = 10.0  # pixels that a stream is level at either end
STREAMS = 140.0  # of all streams together, from the top
GAP = 14.0  # between experts
COLOUR = alt.Color("colour:N", scale=None)


@dataclass(frozen=True)
class Panel:
    """One load with its title; the marks of its picture have the field `run`."""

    end: Ending
    run: str
    title: alt.TitleParams


def beside(loads: Sequence[Panel]) -> alt.ConcatChart:
    """The pictures of several loads beside each other."""
    tables = [_nodes(panel.end).assign(run=panel.run) for panel in loads]
    pictures = {n: _picture(n) for n in set(map(len, tables))}  # each is slow to build
    return panels.beside(
        [
            pictures[len(nodes)].properties(data=nodes, title=panel.title)
            for panel, nodes in zip(loads, tables, strict=True)
        ]
    )


def _picture(n_nodes: int) -> Any:
    height = _height(n_nodes)
    scale = alt.Scale(domain=[height, 0], nice=False)
    marks = [*_streams(scale), *_bars(scale), *_router(scale)]
    return alt.layer(*marks, width=WIDTH, height=height)


def said(share: float) -> str:
    """A share as it stands beside an expert: 65 %, 6.2 %, <0.1 %, 0 %."""
    if 0 < share < 0.001:
        return "<0.1 %"
    return f"{100 * share:.{1 if 0 < share < 0.0995 else 0}f} %"


def _height(nodes: int) -> float:
    return STREAMS + GAP * (nodes + 1.5)


def _nodes(end: Ending) -> pd.DataFrame:
    """A row per bar: by index where every expert has one, else by rank, and the others last."""
    found = parts(end, apart=APART)
    if not (many := len(end.load) > style.EXPERTS):
        found.sort(key=lambda part: int(part.experts[0]))
    share = np.array([float(part.of(end.load)) for part in found])
    names, dead = zip(*(_named(end, part) for part in found), strict=True)
    return pd.DataFrame(
        {
            "label": [part.label for part in found],
            "colour": [part.colour for part in found],
            "name": names,
            "dead": dead,
            "share": share,
            "said": list(map(said, share)),
            "relative": share * len(end.load) / [len(part.experts) for part in found],
            "fair": [f"fair share {100 / len(end.load):.3g} %", *[None] * (len(found) - 1)],
            **_places(share, others=many),
        }
    )


def _named(end: Ending, part: Part) -> tuple[str, bool]:
    """What stands beside a bar, and whether all of it is dead."""
    dead, starved = (int(part.of(marks)) for marks in (end.dead, end.load == 0))
    n, state = (dead, "dead") if dead else (starved, "no token")
    if len(part.experts) == 1:
        return f"expert {part.label}{f', {state}' if n else ''}", bool(n)
    names = f"{len(part.experts)} {part.label}"
    return f"{names},\n{n} {state}" if n else names, n == len(part.experts)


def _places(share: NDArray[np.float64], *, others: bool) -> dict[str, Any]:
    """Top and bottom of each bar, and x, y and y2 at four points of each stream, in pixels from the top left.

    The others have two lines of words, and room for them.
    """
    before, thick = STREAMS * (np.cumsum(share) - share), STREAMS * share
    leave = before + (_height(len(share)) - STREAMS) / 2
    arrive = before + GAP * (np.arange(len(share)) + 0.5)
    arrive[-1] += GAP / 2 * others
    along = np.stack([leave, leave, arrive, arrive], axis=1)
    return {
        "x": [[FROM, FROM + LEVEL, TO - LEVEL, TO]] * len(share),
        "y": along.tolist(),
        "y2": (along + thick[:, None]).tolist(),
        "top": arrive,
        "bottom": arrive + thick,
    }


def _streams(scale: alt.Scale) -> list[Any]:
    """Areas to what is alive, dashed lines to what is dead."""
    streams = (
        alt.Chart()
        .transform_flatten(["x", "y", "y2"])
        .transform_calculate(middle="(datum.y + datum.y2) / 2")
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, WIDTH], nice=False)),
            detail=alt.Detail("label:N"),
            tooltip=_tooltip(),
        )
    )
    alive = streams.transform_filter("!datum.dead").mark_area(interpolate="monotone")
    dead = streams.transform_filter("datum.dead").mark_line(
        interpolate="monotone", color=style.MUTED, strokeDash=[2, 3], strokeWidth=1.2
    )
    return [
        alive.encode(
            y=alt.Y("y:Q", axis=None, scale=scale),
            y2=alt.Y2("y2:Q"),
            color=COLOUR,
            opacity=style.emphasis(of_runs=True, opacity=0.65),
        ),
        dead.encode(
            y=alt.Y("middle:Q", axis=None, scale=scale), opacity=style.emphasis(of_runs=True)
        ),
    ]


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("name:N", title="expert"),
        alt.Tooltip("share:Q", title="load", format=".3~%"),
        alt.Tooltip("relative:Q", title="load / fair share", format=".3~r"),
    ]


def _bars(scale: alt.Scale) -> list[Any]:
    """A bar for what is alive, a cross for what is dead, and the words beside them."""
    bars = (
        alt.Chart()
        .transform_calculate(middle="(datum.top + datum.bottom) / 2")
        .encode(
            y=alt.Y("middle:Q", axis=None, scale=scale),
            opacity=style.emphasis(of_runs=True),
            tooltip=_tooltip(),
        )
    )
    alive, dead = (bars.transform_filter(state) for state in ("!datum.dead", "datum.dead"))
    return [
        alive.mark_rect().encode(
            x=alt.value(TO),
            x2=alt.value(TO + BAR),
            y=alt.Y("top:Q", axis=None, scale=scale),
            y2=alt.Y2("bottom:Q"),
            color=COLOUR,
        ),
        dead.mark_point(shape="cross", angle=45, filled=True, size=42, color=style.MUTED).encode(
            x=alt.value(TO + BAR / 2)
        ),
        bars.mark_text(align="right", fontWeight=600, color=style.INK).encode(
            x=alt.value(SHARE), text=alt.Text("said:N")
        ),
        bars.mark_text(align="left", color=style.INK, lineBreak="\n").encode(
            x=alt.value(NAME), text=alt.Text("name:N")
        ),
    ]


def _router(scale: alt.Scale) -> list[Any]:
    """The bar that all streams leave from with its name, and the fair share below."""
    height = scale["domain"][0]
    top = (height - STREAMS) / 2
    once = alt.Chart().transform_filter("datum.fair !== null")
    return [
        once.mark_rect(color=style.MUTED).encode(
            x=alt.value(FROM - BAR),
            x2=alt.value(FROM),
            y=alt.value(top),
            y2=alt.value(top + STREAMS),
        ),
        once.mark_text(align="right", color=style.INK).encode(
            x=alt.value(FROM - BAR - 6), y=alt.value(height / 2), text=alt.value("router")
        ),
        once.mark_text(align="left", baseline="bottom", color=style.MUTED).encode(
            x=alt.value(0), y=alt.value(height), text=alt.Text("fair:N")
        ),
    ]
