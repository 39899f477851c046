"""The header of a safetensors file, checked before anything is made of what it says."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from moe_lab.errors import ArtefactError
from moe_lab.store import limits
from moe_lab.store.files import parse_json

LENGTH = 8  # bytes at the beginning, which hold the length of the header
SIZES = {
    **{"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "U32": 4, "I32": 4, "F32": 4},
    **{"U64": 8, "I64": 8, "F64": 8},
}  # bytes of a number

Shape = tuple[int, ...]


def read_shapes(data: bytes, path: Path) -> dict[str, tuple[str, Shape]]:
    """Type and shape of every tensor of a file, by name.

    Raises ArtefactError unless the tensors fill the file, each with as many bytes as its type and shape take.
    """
    length = int.from_bytes(data[:LENGTH], "little")
    limits.TENSOR_HEADER.check(length, path)
    header = parse_json(data[LENGTH : LENGTH + length], path)
    header.pop("__metadata__", None)
    limits.TENSOR_COUNT.check(len(header), path)
    entries = {name: _entry(name, entry, path) for name, entry in header.items()}
    _check_filled([span for *_, span in entries.values()], len(data) - LENGTH - length, path)
    return {name: (dtype, shape) for name, (dtype, shape, _) in entries.items()}


def _entry(name: str, entry: Any, path: Path) -> tuple[str, Shape, tuple[int, int]]:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(first), int(end)]} if (
            dtype in SIZES and all(type(n) is int and n >= 0 for n in shape)
        ):
            if end - first == SIZES[dtype] * math.prod(shape):
                return dtype, tuple(shape), (first, end)
    raise ArtefactError(f"{path} is corrupt: {name[:80]!r} is no tensor of its bytes")


def _check_filled(spans: list[tuple[int, int]], size: int, path: Path) -> None:
    """One tensor begins where another ends, from the first byte to the last."""
    ordered = [(0, 0), *sorted(spans), (size, size)]
    if any(here[1] != there[0] for here, there in pairwise(ordered)):
        raise ArtefactError(f"{path} is corrupt: its tensors do not fill it")
