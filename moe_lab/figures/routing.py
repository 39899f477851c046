"""Where a router sends its tokens: of one run layer by layer, of two beside each other."""

from collections.abc import Sequence

from moe_lab.figures import panels, streams, style
from moe_lab.figures.base import Absent, Drawn, Figure
from moe_lab.figures.subject import Subject


def routing(subject: Subject) -> Drawn:
    """The load at the end of each drawn layer."""
    name, title = "routing", "Where the router sends its tokens"
    if not subject.endings:
        return Absent(name, title, "no load of a MoE layer is logged yet")
    loads = [
        streams.Panel(
            end, subject.name, panels.title(f"layer {layer}", panels.said(subject, layer))
        )
        for layer, end in subject.endings.items()
    ]
    return Figure(name, title, f"{_reading([subject])}{subject.hidden}", streams.beside(loads))


def contrast(collapsed: Subject, healthy: Subject) -> Drawn:
    """The worst layer of two runs beside each other."""
    name, title = "contrast", "Collapsed and healthy routing"
    runs = [collapsed, healthy]
    if missing := [run.name for run in runs if not run.endings]:
        return Absent(
            name, title, f"no load of a MoE layer is logged yet in {' and '.join(missing)}"
        )
    loads = [_worst(run) for run in runs]
    reading = f"Of each run the layer of lowest n_eff. {_reading(runs)}"
    return Figure(name, title, reading, streams.beside(loads))


def _worst(run: Subject) -> streams.Panel:
    layer = run.worst_layer
    title = panels.title(run.name, f"layer {layer} {panels.said(run, layer)}")
    return streams.Panel(run.endings[layer], run.name, title)


def _reading(runs: Sequence[Subject]) -> str:
    sources = dict.fromkeys(end.source for run in runs for end in run.endings.values())
    grouped = (
        f" Of more than {style.EXPERTS} experts the {streams.APART} most loaded by themselves."
        if any(run.n_experts > style.EXPERTS for run in runs)
        else ""
    )
    return (
        f"Shares of the assignments, before capacity, on {' and '.join(sources)}. A stream "
        f"and its bar are as broad as the share. Cross and dashed line: dead, below 5 % of the fair share.{grouped}"
    )
