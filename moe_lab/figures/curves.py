"""Over time, over seeds: losses, and how evenly experts are used."""

import pandas as pd

from moe_lab.figures import bands
from moe_lab.figures.arms import Arms, Replicate
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.metrics import cv_floor

LOSS = ("curves-loss", "Held-out loss")
DIFFERENCE = ("curves-difference", "Held-out loss less the baseline's")
N_EFF = ("curves-n-eff", "n_eff of the worst layer")
CV = ("curves-cv", "cv of the worst layer")
BAND = (
    "Line: mean over seeds. Band: its 95 % t interval, cut off at the frame. Faint: single runs, "
)


def loss_curves(arms: Arms) -> Drawn:
    """gap, or lm_loss where it is unknown, of every evaluation."""
    rows = bands.measured(arms, "eval", arms.loss)
    if rows.empty:
        return Absent(*LOSS, "no run has an evaluation with a loss yet")
    scale = bands.fitting(rows, log=_is_log(arms, rows))
    chart = bands.drawn(arms, bands.over_seeds(rows), arms.loss, scale, dots=True)
    return Figure(*LOSS, f"{arms.loss} on held-out data. {_read(arms)}", chart)


def _is_log(arms: Arms, rows: pd.DataFrame) -> bool:
    """A gap falls by ratios, to 0 at best; other losses end at an unknown floor."""
    return arms.loss == "gap" and bool(rows["value"].min() > 0)


def loss_differences(arms: Arms) -> Drawn:
    """The same less the baseline's at the same seed and step: what seeds share falls out of it."""
    rows = bands.measured(arms, "eval", arms.loss)
    if rows.empty:
        return Absent(*DIFFERENCE, "no run has an evaluation with a loss yet")
    found = bands.paired(arms, rows)
    if found.empty:
        return Absent(*DIFFERENCE, "no other arm shares a seed and an evaluation with the baseline")
    told = {f"baseline: {_baseline(arms)}": 0.0}
    scale = bands.fitting(found, log=False, include=(0.0,))
    shown = bands.ruled(arms, bands.over_seeds(found), told)
    title = f"{arms.loss} less the baseline's (nats/token)"
    chart = bands.drawn(arms, shown, arms.loss, scale, title=title, dots=True)
    paired = "Differences are paired by seed, so that what a seed makes easy or hard falls out."
    return Figure(*DIFFERENCE, f"{paired} {_read(arms)}", chart)


def _baseline(arms: Arms) -> str:
    label = next(arm.label for arm in arms.arms if arm.point == arms.baseline)
    return f"{arms.title} {label}".strip()


def n_eff_curves(arms: Arms) -> Drawn:
    """n_eff of the worst layer at the steps of training, in bins."""
    rows = bands.measured(arms, "steps", "n_eff_worst")
    if rows.empty:
        return Absent(*N_EFF, "no training step with experts is logged yet")
    experts = {run.frames.config["moe"]["n_experts"] for _, run in arms.runs}
    told = {f"E = {n}": float(n) for n in experts} if len(experts) == 1 else {}
    scale = bands.fitting(rows, log=False, include=(1.0, *told.values()))
    chart = bands.drawn(arms, bands.ruled(arms, bands.over_seeds(rows), told), "n_eff_worst", scale)
    return Figure(*N_EFF, f"Batches of training, means of bins. {_read(arms)}", chart)


def cv_curves(arms: Arms) -> Drawn:
    """cv of the worst layer likewise, with its floor where all runs have one."""
    rows = bands.measured(arms, "steps", "cv_worst")
    if rows.empty:
        return Absent(*CV, "no training step with experts is logged yet")
    floors = {_floor(run) for _, run in arms.runs if len(run.frames.steps)}
    told = {"cv_floor": floors.pop()} if len(floors) == 1 else {}
    scale = bands.fitting(rows, include=tuple(told.values()))
    chart = bands.drawn(arms, bands.ruled(arms, bands.over_seeds(rows), told), "cv_worst", scale)
    floor = " Dashed: cv_floor, what uniformly random routing of a batch reads." if told else ""
    return Figure(*CV, f"Batches of training, means of bins.{floor} {_read(arms)}", chart)


def _floor(run: Replicate) -> float:
    """cv_floor of one batch of training."""
    first, moe = run.frames.steps.iloc[0], run.frames.config["moe"]
    return cv_floor(moe["n_experts"], moe["top_k"], round(first["tokens"] / first["step"]))


def _read(arms: Arms) -> str:
    """How to read lines and bands: the end of a caption."""
    return f"{'A line per run.' if arms.is_single else BAND} {arms.reading}"
