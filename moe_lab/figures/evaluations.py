"""What evaluations left beside tables: arrays of a layer's held-out choices."""

import numpy as np
from numpy.typing import NDArray

from moe_lab.figures.subject import Subject
from moe_lab.store.arrays import read_arrays

NONE = "no evaluation has left what its router chose"
NO_LAYER = "the model has no MoE layer"


def counts(subject: Subject, step: int, name: str) -> dict[int, NDArray[np.int64]]:
    """The array `layer_N.name` of each drawn layer that has it; no other is unpacked."""
    wanted = {f"layer_{layer}.{name}": layer for layer in subject.layers}
    found = read_arrays(subject.frames.directory, step, wanted)
    return {layer: found[key].astype(np.int64) for key, layer in wanted.items() if key in found}
