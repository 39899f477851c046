"""How far the choices for the held-out tokens are from the last ones, and from those of the evaluation before."""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from moe_lab import metrics
from moe_lab.store.arrays import Arrays
from moe_lab.store.read import StoredRun

KEY = re.compile(r"layer_(\d+)\.experts")

Choices = dict[int, NDArray[np.int64]]  # (N, k) by layer
Row = dict[str, float | None]


def rows(run: StoredRun) -> list[Row]:
    """One per evaluation and layer, with the columns of `columns.STABILITY`; none for a run without such choices."""
    found = {step: _choices(run.arrays(step)) for step in run.array_steps}
    moe = run.config["moe"]
    return list(_rows(found, chance=moe["top_k"] / moe["n_experts"]))


def _choices(arrays: Arrays) -> Choices:
    """The experts of the held-out tokens, by layer."""
    found = ((KEY.fullmatch(name), array) for name, array in arrays.items())
    return {int(match[1]): array.astype("int64") for match, array in found if match}


def _rows(found: dict[int, Choices], *, chance: float) -> Iterator[Row]:
    final: Choices = found[max(found)] if found else {}
    before: Choices = {}
    for step, choices in found.items():
        for layer, chosen in choices.items():
            yield {
                "step": step,
                "layer": layer,
                "saturation": metrics.saturation(chosen, final[layer]),
                "saturation_chance": chance,
                "fluctuation": metrics.fluctuation(before[layer], chosen) if before else None,
            }
        before = choices
