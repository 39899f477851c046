"""What measuring costs: the loop with every row written, against the shortest loop that trains the same model."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import tables
from clock import Effort, in_turn, ratio
from ours import NEVER, Bare, Loop, configure, experiment
from shapes import Shape

EVERY = 20  # steps between measurements of the router's gradients; a block holds the same number of them


def cost(efforts: Mapping[Shape, Effort], folder: Path) -> None:
    """Ratios within rounds, one thread, process CPU time."""
    rows = [
        (f"{shape.name} E={shape.n_experts}", *_cells(_times(shape, effort, folder)))
        for shape, effort in efforts.items()
    ]
    tables.title("Cost of measuring (1 thread, process CPU time)")
    tables.note(
        "Bare: forward, loss, the optimised balance loss, backward, clipping, AdamW. Measured: every counter kept, "
        "nothing written (log.every beyond the end). Logged: every row of every table, verdicts, timing, flush, at "
        f"each step, and the router's gradients by source every {EVERY} steps. With data: the step draws its tokens."
    )
    tables.table(("", "bare, ms", "measured", "logged", "logged, with data"), rows)


def _times(shape: Shape, effort: Effort, folder: Path) -> dict[str, list[float]]:
    """All loops train one and the same model: two equal ones differ by some per cent."""
    parts = experiment(shape)
    silent = replace(parts, config=configure(shape, {"log.every": NEVER}))
    drawing = replace(parts, source=experiment(shape, drawn=False).source)
    runners: dict[str, Bare | Loop] = {
        "bare": Bare(parts),
        "measured": Loop(silent, folder),
        "logged": Loop(parts, folder),
        "with data": Loop(drawing, folder),
    }
    blocks = {name: partial(runner.block, effort.steps, 1) for name, runner in runners.items()}
    return in_turn(blocks, effort.rounds)


def _cells(times: dict[str, list[float]]) -> list[str]:
    bare, *others = times.values()
    return [f"{1000 * median(bare):.2f}", *(f"{ratio(other, bare) - 1:+.1%}" for other in others)]
