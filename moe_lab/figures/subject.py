"""A run as figures see it: the layers that are drawn, and what is known of each."""

from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_lab import escape
from moe_lab.figures.ending import Ending, Rows, ending
from moe_lab.frames import RunFrames
from moe_lab.report.diagnosis import Course
from moe_lab.store.table_rules import EXPERT

LAYERS = 6  # panels of a figure, at most


@dataclass(frozen=True)
class Subject:
    """One run, its tables read when they are first needed."""

    frames: RunFrames
    name: str

    @classmethod
    def of(cls, frames: RunFrames) -> "Subject":
        """A run by the name of its folder."""
        return cls(frames, escape.line(frames.directory.resolve().name))

    @property
    def n_experts(self) -> int:
        """E."""
        return int(self.frames.config["moe"]["n_experts"])

    @property
    def top_k(self) -> int:
        """k."""
        return int(self.frames.config["moe"]["top_k"])

    @cached_property
    def courses(self) -> dict[int, Course]:
        """By layer: verdict, onsets and n_eff; empty for a model without experts."""
        return {course.layer: course for course in self.frames.courses}

    @cached_property
    def layers(self) -> list[int]:
        """The layers that are drawn, ascending: all, or the LAYERS of lowest n_eff."""
        ends = {layer: _end(course) for layer, course in self.courses.items()}
        return sorted(sorted(ends, key=ends.__getitem__)[:LAYERS])

    @property
    def hidden(self) -> str:
        """A sentence on the layers that are not drawn, with a blank before it; empty if all are."""
        total = len(self.courses)
        if total <= len(self.layers):
            return ""
        return f" {len(self.layers)} of {total} MoE layers: those of lowest n_eff."

    @cached_property
    def worst_layer(self) -> int:
        """The drawn layer of lowest n_eff at the end. Raises ValueError without any load."""
        return min(self.endings, key=lambda layer: self.endings[layer].n_eff)

    def loads(
        self, layer: int, split: str = "train"
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Steps (S,) and loads (S, E) of one layer in the order of the file, each row summing to 1."""
        table = self.frames.utilization
        rows = table[(table["layer"] == layer) & (table["split"] == split)]
        experts = [name for name in rows.columns if name.startswith(EXPERT)]
        return rows["step"].to_numpy(), rows[experts].to_numpy(dtype=float)

    @cached_property
    def trained(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """By drawn layer its steps and loads of training, of those with any load."""
        found = {layer: self.loads(layer) for layer in self.layers}
        return {
            layer: rows for layer, rows in found.items() if np.isfinite(rows[1]).all(axis=1).any()
        }

    @cached_property
    def endings(self) -> dict[int, Ending]:
        """By drawn layer how its routing ended, of those with any load."""
        found = {
            layer: ending(*(self._rows(layer, split) for split in ("eval", "train")))
            for layer in self.layers
        }
        return {layer: end for layer, end in found.items() if end is not None}

    def _rows(self, layer: int, split: str) -> Rows:
        steps, loads = self.loads(layer, split)
        table = self.frames.cv
        rows = table[(table["layer"] == layer) & (table["split"] == split)]
        counted = rows.drop_duplicates("step").set_index("step")["assignments"]
        return Rows.known(steps, loads, counted.reindex(steps).to_numpy(dtype=float))

    @property
    def onsets(self) -> list[dict[str, Any]]:
        """Each collapse of a drawn layer: its layer, its step, and the word that marks it."""
        return [
            {"layer": layer, "step": step, "mark": f"collapse at {step}"}
            for layer in self.layers
            for step in self.courses[layer].onsets
        ]


def _end(course: Course) -> float:
    found = course.end if course.end is not None else course.lowest
    return inf if found is None or isnan(found) else found
