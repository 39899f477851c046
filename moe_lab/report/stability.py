"""How far the choices for the held-out tokens are from the last ones, and from those of the evaluation before."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from moe_lab import metrics
from moe_lab.errors import ArtefactError
from moe_lab.store import layout, limits
from moe_lab.store.arrays import array_names, read_arrays
from moe_lab.store.read import StoredRun

KEY = re.compile(r"layer_(\d{1,9})\.experts")

Choices = NDArray[np.integer]  # (N, k)
Row = dict[str, float | None]


def rows(run: StoredRun) -> list[Row]:
    """One per evaluation and layer, with the columns of `columns.STABILITY`; none for a run without such choices.

    Raises ArtefactError if an evaluation lacks the choices of a layer, or has those of other tokens.
    """
    steps, moe = run.array_steps, run.config["moe"]
    found = [
        row | {"saturation_chance": moe["top_k"] / moe["n_experts"]}
        for layer in (_layers(run, steps[-1]) if steps else [])
        for row in _of_layer(run.directory, layer, steps)
    ]
    return sorted(found, key=lambda row: row["step"])  # within a step the layers stay in order


def _layers(run: StoredRun, step: int) -> list[int]:
    matches = map(KEY.fullmatch, array_names(run.directory, step))
    return sorted(int(match[1]) for match in matches if match)


def _of_layer(directory: Path, layer: int, steps: list[int]) -> Iterator[Row]:
    """Its choices are read one evaluation after the other: of many tokens they are large."""
    final = _choices(directory, layer, steps[-1])
    before: Choices | None = None
    for step in steps:
        chosen = _choices(directory, layer, step)
        if chosen.shape != final.shape:
            path = layout.arrays(directory, step)
            raise ArtefactError(f"{path}: choices of other tokens than those of step {steps[-1]}")
        yield {
            "step": step,
            "layer": layer,
            "saturation": metrics.saturation(chosen, final),
            "fluctuation": None if before is None else metrics.fluctuation(before, chosen),
        }
        before = chosen


def _choices(directory: Path, layer: int, step: int) -> Choices:
    name = f"layer_{layer}.experts"
    found = read_arrays(directory, step, [name], limits.CHOICES).get(name)
    if found is None or found.ndim != 2 or not found.size or found.dtype.kind not in "iu":
        raise ArtefactError(f"{layout.arrays(directory, step)} has no choices of layer {layer}")
    return cast(Choices, found)
