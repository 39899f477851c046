"""What a row of a table can be: by the names of its columns, whatever the table is."""

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from moe_lab import columns

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "eval")
PLACE = columns.names(columns.PLACE)  # what tells the rows of a table apart
COUNTS = {"step": 0, "layer": 0, "assignments": 1}  # columns of integers, with the least of each
EXPERT = "expert_"
TOLERANCE = 1e-6  # of the sum of a row's loads; in double precision they miss 1 by 1e-13
NUMBER = re.compile(r"(nan|-?inf|-?\d{1,18}(\.\d+)?(e[+-]?\d+)?)?")


def is_suspect(frame: "pd.DataFrame") -> bool:
    """Whether some cell is not of its column, as far as the types and extremes of columns tell."""
    return len(frame) > 0 and any(_is_suspect(str(name), column) for name, column in frame.items())


def wrong_cell(name: str, cell: str) -> str | None:
    """What is wrong with a cell of a column; None if nothing is."""
    if name == "split":
        return None if cell in SPLITS else f"is {cell!r}: neither train nor eval"
    if name in COUNTS:
        right = cell.isdecimal() and len(cell) <= 18 and int(cell) >= COUNTS[name]
        return None if right else f"is {cell!r}: no whole number from {COUNTS[name]} on"
    if not NUMBER.fullmatch(cell):
        return f"is {cell!r}: no number"
    overflows = "inf" not in cell and math.isinf(float(cell or 0))
    return f"is {cell}: beyond the largest number" if overflows else None


def wrong_row(table: str, frame: "pd.DataFrame") -> tuple[int, str] | None:
    """The index of the first row that cannot stand where it does, and why; None if all can."""
    if frame.empty or "step" not in frame:
        return None
    steps = frame["step"].to_numpy()
    if len(back := np.flatnonzero(np.diff(steps) < 0)):
        index = int(back[0]) + 1
        return index, f"step {steps[index]} stands after step {steps[index - 1]}"
    if (
        table == "eval"
    ):  # somebody else's loop may evaluate twice after one step; a text's label may be expert_a
        return None
    trained = frame[frame["split"] == "train"] if "split" in frame else frame
    twice = trained.duplicated([name for name in PLACE if name in trained])
    if twice.any():
        index = int(trained.index[int(twice.argmax())])
        return index, "this row stands twice: its step, split and layer are taken"
    return _wrong_load(frame)


def _wrong_load(frame: "pd.DataFrame") -> tuple[int, str] | None:
    """The first row whose loads are no shares of a whole."""
    experts = [name for name in frame if str(name).startswith(EXPERT)]
    if not experts:
        return None
    loads = frame[experts].to_numpy()
    right = (abs(loads.sum(1) - 1) < TOLERANCE) & (loads.min(1) >= 0)
    if right.all():
        return None
    index = int(right.argmin())
    return index, f"the loads of a row sum to 1, these to {loads[index].sum():g}"


def _is_suspect(name: str, column: Any) -> bool:
    if name == "split":
        return not column.isin(SPLITS).all()
    kind = column.dtype.kind
    if name in COUNTS:
        return bool(kind != "i" or column.min() < COUNTS[name])
    return kind not in "if" or (kind == "f" and bool(np.isinf(column.to_numpy()).any()))
