"""n_eff, dead_experts and dropped of each layer over time."""

import altair as alt
import pandas as pd

from moe_lab.figures import thinning, timeline
from moe_lab.figures.base import Absent, Chart, Drawn, Figure
from moe_lab.figures.subject import Subject

NAME, TITLE = "balance", "Effective, dead and overfull experts, by layer"
READING = "Lines: batches of training, of each bin of steps the least and the greatest. Points: held-out data."
SMALL = 0.1  # the least height of an axis of shares
BINS = 60  # of steps: three panels of up to six layers


def balance(subject: Subject) -> Drawn:
    """A panel per measurement with a line per drawn layer; dropped where anything is dropped, or could be."""
    table = subject.frames.cv
    shown = table[table["layer"].isin(subject.layers)]
    if shown.empty:
        return Absent(NAME, TITLE, "no step of a MoE layer is logged yet")
    drawn, without = [_n_eff(shown, subject)], ""
    if shown["dead_experts"].notna().any():
        drawn.append(_share("dead_experts", shown))
    else:
        without = " dead_experts is blank until its window is long enough."
    if subject.frames.config["moe"].get("capacity_factor") or shown["dropped"].any():
        drawn.append(_share("dropped", _lossy(shown)))
    reading = READING + _rules(subject) + without + subject.hidden
    return Figure(NAME, TITLE, reading, alt.concat(*drawn, columns=3))


def _rules(subject: Subject) -> str:
    return f" n_eff is E = {subject.n_experts} in balance and k = {subject.top_k} where one set of experts has all."


def _n_eff(shown: pd.DataFrame, subject: Subject) -> Chart:
    scale = alt.Scale(domain=[0, subject.n_experts], nice=False)
    ends = {f"E = {subject.n_experts}": subject.n_experts, f"k = {subject.top_k}": subject.top_k}
    return alt.layer(
        *timeline.references("n_eff", ends),
        *timeline.Measured("n_eff", _thinned("n_eff", shown), scale).both(),
    )


def _share(name: str, shown: pd.DataFrame) -> Chart:
    scale = alt.Scale(domain=[0, max(SMALL, float(shown[name].max()))])
    return alt.layer(*timeline.Measured(name, _thinned(name, shown), scale).both())


def _lossy(shown: pd.DataFrame) -> pd.DataFrame:
    """Without evaluations, if these drop nothing, as is usual."""
    evaluated = shown["split"] == "eval"
    return shown if shown[evaluated]["dropped"].any() else shown[~evaluated]


def _thinned(name: str, shown: pd.DataFrame) -> pd.DataFrame:
    trained = shown[shown["split"] == "train"]
    rows = [thinning.extremes(trained, name, ["layer"], BINS), shown[shown["split"] == "eval"]]
    return pd.concat(rows)[["step", "layer", "split", name]]
