"""Which figures a run, several runs and a sweep have, in the order of a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from moe_lab import escape
from moe_lab.figures import arms
from moe_lab.figures.arms import Arms
from moe_lab.figures.balance import balance
from moe_lab.figures.base import Absent, Drawn
from moe_lab.figures.coactivation import coactivation
from moe_lab.figures.curves import cv_curves, loss_curves, loss_differences, n_eff_curves
from moe_lab.figures.cv import cv
from moe_lab.figures.dose import dose_responses
from moe_lab.figures.front import front
from moe_lab.figures.gap import gap
from moe_lab.figures.gradients import gradients
from moe_lab.figures.load_area import load_area
from moe_lab.figures.load_heatmap import load_heatmap
from moe_lab.figures.load_lines import load_lines
from moe_lab.figures.losses import losses
from moe_lab.figures.onsets import onsets
from moe_lab.figures.phase import phase
from moe_lab.figures.routing import contrast, routing
from moe_lab.figures.specialization import by_domain, by_token, specialization
from moe_lab.figures.subject import Subject
from moe_lab.frames import load_run
from moe_lab.report.doses import DoseResponse
from moe_lab.report.sweeps import MARGIN
from moe_lab.store.sweep import only_sweep
from moe_lab.sweep_frames import SweepFrames, load_sweep


@dataclass(frozen=True)
class Wall:
    """Figures that answer one question."""

    title: str
    drawn: tuple[Drawn, ...]


def of(directories: Sequence[Path], *, margin: float = MARGIN) -> list[Wall]:
    """Of one run, several or a sweep. Raises ConfigError for a sweep among others, ArtefactError for no runs."""
    if sweep := only_sweep(directories):
        return of_sweep(load_sweep(sweep, margin=margin))
    runs = [Subject.of(load_run(directory)) for directory in directories]
    return of_run(runs[0]) if len(runs) == 1 else of_runs(runs)


def of_run(run: Subject) -> list[Wall]:
    """Of a single run."""
    return [
        Wall("Expert load", (routing(run), load_heatmap(run), load_lines(run), load_area(run))),
        Wall("Balance", (cv(run), balance(run))),
        Wall("Loss", (losses(run), gap(run))),
        Wall("What pulls on the router", (gradients(run),)),
        Wall(
            "What experts know",
            (by_domain(run), by_token(run), specialization(run), coactivation(run)),
        ),
    ]


def of_runs(runs: Sequence[Subject]) -> list[Wall]:
    """Of several runs beside each other."""
    return _compared(arms.of_runs(runs), ())


def of_sweep(sweep: SweepFrames) -> list[Wall]:
    """Of a sweep, over its seeds."""
    found = arms.of_sweep(sweep)
    walls = _compared(found, sweep.analysis.thresholds)
    return [*walls, Wall("Where collapse lives", (phase(found),))]


def _compared(found: Arms, thresholds: Sequence[DoseResponse]) -> list[Wall]:
    """What arms have in common, whoever chose them."""
    return [
        Wall("Collapsed and healthy", tuple(_contrasted(found))),
        Wall("Balance over training", (n_eff_curves(found), cv_curves(found), onsets(found))),
        Wall("Loss over training", (loss_curves(found), loss_differences(found))),
        Wall("Dose and response", (dose_responses(found, thresholds), front(found))),
    ]


def _contrasted(found: Arms) -> Iterator[Drawn]:
    """The gravest collapse beside the healthiest run: their routes, and their loads over time."""
    pair = arms.pair(found)
    if pair is None:
        why = "it takes a run that collapsed and one that did not"
        yield Absent("contrast", "Collapsed and healthy routing", why)
        return
    yield contrast(*pair)
    for word, subject in zip(("collapsed", "healthy"), pair, strict=True):
        drawn = load_heatmap(subject)
        title = f"{drawn.title}: {escape.line(subject.name)}"
        yield replace(drawn, name=f"{drawn.name}-{word}", title=title)
