"""Does a collapsed router cost time? The experts alone, then whole steps that start balanced or collapsed."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import tables
import torch
from clock import CPU, Effort, in_turn, ratio
from ours import Loop, experiment
from shapes import Shape
from torch import Tensor

from moe_lab.experts import Experts
from moe_lab.routing.base import Routing

TILT = 20.0  # logits: nobody else is chosen first


def cost(shapes: list[Shape], effort: Effort, folder: Path) -> None:
    """Both, for each shape."""
    rows = []
    for shape in shapes:
        layer = in_turn(_layer(shape, effort.steps), effort.rounds)
        steps = in_turn(_whole(shape, effort.steps, folder), effort.rounds)
        rows.append((f"{shape.name} E={shape.n_experts}", *_cells(layer), *_cells(steps)))
    tables.title("Collapsed routing (1 thread, process CPU time)")
    tables.note(
        "Experts alone (k=2; collapsed: all tokens go to the same two), forward and backward; whole steps (k=1; "
        f"collapsed: alpha 0 and a tilt of {TILT:g} logits)."
    )
    kinds = ("balanced, ms", "collapsed, ms", "collapsed / balanced")
    header = ("", *(f"experts {kind}" for kind in kinds), *(f"step {kind}" for kind in kinds))
    tables.table(header, rows)


def _cells(times: dict[str, list[float]]) -> tuple[str, str, str]:
    balanced, collapsed = times.values()
    return (
        f"{1000 * median(balanced):.2f}",
        f"{1000 * median(collapsed):.2f}",
        f"{ratio(collapsed, balanced):.2f}×",
    )


def _whole(shape: Shape, steps: int, folder: Path) -> dict[str, Callable[[], float]]:
    settings = {
        "balanced": {"top_k": 1},
        "collapsed": {"top_k": 1, "alpha": 0, "init_tilt": TILT},
    }
    return {
        name: partial(Loop(experiment(shape, given), folder).block, steps, 1)
        for name, given in settings.items()
    }


def _layer(shape: Shape, steps: int) -> dict[str, Callable[[], float]]:
    """Tokens that all choose the same experts, against tokens that take turns."""
    first = torch.arange(shape.tokens) % shape.n_experts
    chosen = {"balanced": torch.stack([first, (first + 1) % shape.n_experts], 1)}
    chosen["collapsed"] = torch.tensor([[0, 1]]).expand(shape.tokens, 2)
    parts = experiment(shape)
    experts, x = parts.model.moe_layers()[0].experts, torch.randn(shape.tokens, shape.d_model)
    _, routings = parts.model(parts.source.batch(1, 0, shape.batch_size).inputs, parts.stream)
    routings = {
        name: replace(routings[0], expert=experts.flatten(), gate=routings[0].gate.detach())
        for name, experts in chosen.items()
    }
    return {
        name: partial(_time_layer, experts, x.requires_grad_(), routing, steps)
        for name, routing in routings.items()
    }


def _time_layer(experts: Experts, x: Tensor, routing: Routing, steps: int) -> float:
    gradient, began = torch.ones_like(x), 0.0
    for i in range(steps + 1):
        began = CPU() if i == 1 else began  # the first does not count
        experts(x, routing).backward(gradient)
    return (CPU() - began) / steps
