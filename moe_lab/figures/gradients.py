"""What pulls on each router: the norms of the task's and of the balance losses' gradients."""

import altair as alt
import pandas as pd

from moe_lab.figures import panels, thinning, timeline
from moe_lab.figures.base import Absent, Chart, Drawn, Figure
from moe_lab.figures.subject import Subject

NAME, TITLE = "gradients", "Router gradient by source, by layer"
READING = (
    "Norm of each loss's gradient on the layer's router weight. The tooltip has the cosine with the task's gradient: "
    "below 0, the balance loss works against the task."
)
TASK, BALANCE = "grad_task", "grad_balance"


def gradients(subject: Subject) -> Drawn:
    """grad_task, grad_balance and, where several balance losses are optimised, each one's."""
    rows = _rows(subject)
    if rows.empty:
        why = "no router gradient is measured yet: it is every log.router_grad_every steps"
        return Absent(NAME, TITLE, why)
    sources = list(dict.fromkeys(rows["source"]))
    idle = [source for source in sources if not rows.loc[rows["source"] == source, "grad"].any()]
    pulling = rows[~rows["source"].isin(idle)]
    if pulling.empty:
        return Absent(NAME, TITLE, "every router gradient is 0")
    none = "".join(f" {source} is 0 throughout and is not drawn." for source in idle)
    return Figure(NAME, TITLE, READING + none + subject.hidden, _panels(subject, pulling))


def _rows(subject: Subject) -> pd.DataFrame:
    """Long rows of the drawn layers: step, layer, source, grad and cosine, where a gradient was measured."""
    table = subject.frames.aux_loss
    shown = table[(table["split"] == "train") & table["layer"].isin(subject.layers)]
    parts = [
        shown[["step", "layer"]].assign(source=source, grad=shown[source], cosine=shown[cosine])
        for source, cosine in _sources(shown).items()
    ]
    own = shown[["step", "layer"]].assign(source=TASK, grad=shown[TASK])
    return pd.concat([own, *parts]).dropna(subset="grad").reset_index(drop=True)


def _sources(shown: pd.DataFrame) -> dict[str, str]:
    """Column of each balance gradient, and of its cosine; a balancer's own only where there are several."""
    names = [name.removesuffix("_grad") for name in shown.columns if name.endswith("_grad")]
    own = [name for name in names if shown[f"{name}_grad"].notna().any()]
    several = own if len(own) > 1 else []
    return {BALANCE: "grad_cosine", **{f"{name}_grad": f"{name}_cosine" for name in several}}


def _panels(subject: Subject, rows: pd.DataFrame) -> Chart:
    y = timeline.magnitudes(rows["grad"], "norm of the gradient")
    key = timeline.Key.of_lines(list(dict.fromkeys(rows["source"])), "source")
    thinned = thinning.extremes(rows, "grad", ["layer", "source"])
    layers = {layer: thinned[thinned["layer"] == layer] for layer in subject.layers}
    return panels.beside(
        [
            key.lines(_valued(part, y), dots=True).properties(**panels.frame(subject, layer))
            for layer, part in layers.items()
            if len(part)
        ]
    )


def _valued(rows: pd.DataFrame, y: alt.Y) -> alt.Chart:
    numbers = [
        alt.Tooltip("grad:Q", format=".3~g"),
        alt.Tooltip("cosine:Q", format=".2f", title="cosine with the task's"),
    ]
    return alt.Chart(rows.drop(columns="layer")).encode(
        x=timeline.steps(rows), y=y, tooltip=["step:Q", "source:N", *numbers]
    )
