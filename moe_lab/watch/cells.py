"""A row of a table that may have been damaged: its cells as numbers, or an error that names its file and step."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from moe_lab.errors import ArtefactError
from moe_lab.metrics import Load
from moe_lab.store.table_rules import EXPERT, TOLERANCE, wrong_cell


@dataclass(frozen=True)
class Row:
    """One row, by the names of the columns. Every method raises ArtefactError for what no writer of ours wrote."""

    path: Path
    cells: Mapping[str, str]

    def whole(self, name: str) -> int:
        """A count: a step or a layer."""
        return int(self._checked(name))

    def number(self, name: str) -> float:
        """A measurement; nan where it is blank."""
        return float(self._checked(name) or "nan")

    def seconds(self, name: str) -> float:
        """A time."""
        value = self.number(name)
        if not isfinite(value):
            raise self._wrong(f"{name} is no time")
        return value

    def load(self) -> Load:
        """The share of each expert, (E,)."""
        cells = [cell for name, cell in self.cells.items() if name.startswith(EXPERT)]
        try:
            load: Load = np.array(cells, dtype=np.float64)
        except ValueError as error:
            raise self._wrong(f"a load is no number: {error}") from error
        if not (abs(load.sum() - 1) < TOLERANCE and load.min() >= 0):
            raise self._wrong(f"the loads of a row sum to 1, these to {load.sum():g}")
        return load

    def _checked(self, name: str) -> str:
        cell = self.cells.get(name)
        if cell is None:
            raise self._wrong(f"there is no column {name}")
        if wrong := wrong_cell(name, cell):
            raise self._wrong(f"{name} {wrong}")
        return cell

    def _wrong(self, what: str) -> ArtefactError:
        place = f" at step {self.cells['step'][:20]}" if "step" in self.cells else ""
        return ArtefactError(f"{self.path} is corrupt{place}: {what}")
