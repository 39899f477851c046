"""The rows that dose and response are drawn of: one table for all panels, told apart by `kind`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from moe_lab.figures import shades
from moe_lab.figures.along import Along
from moe_lab.figures.outcomes import COLLAPSED, DIFFERENCE, Measure, Row, measures
from moe_lab.report.doses import DoseResponse

ROOM = 0.05  # of a panel's height above and below what is in it
LOSSES = ("gap", "lm_loss")  # whose axis need not begin at 0


@dataclass(frozen=True)
class Responses:
    """Measurements along a setting."""

    along: Along
    thresholds: tuple[DoseResponse, ...]

    def table(self) -> pd.DataFrame:
        """All panels, in their order; empty if there is nothing to draw."""
        return pd.DataFrame(
            {"panel": measure.title, **row}
            for measure in measures(self.along.arms)
            for row in self._panel(measure)
        )

    def _panel(self, measure: Measure) -> list[Row]:
        seen = [
            {**row, **self.along.place(arm), "series": self.along.others(arm)}
            for arm in self.along.arms.arms
            for row in (*measure.runs(arm), *measure.mean(arm))
        ]
        rules = self._rules(measure)
        low, high = self._frame(measure, [row["value"] for row in (*seen, *rules)])
        return [
            *({"kind": "frame", "value": end} for end in (low, high)),
            *self._ends(measure),
            *rules,
            *(_cut(row, low, high) for row in seen),
        ]

    def _frame(self, measure: Measure, values: Sequence[float]) -> tuple[float, float]:
        """Where a panel ends: intervals do not widen it."""
        zero = () if measure.name in LOSSES else (0.0,)
        bars = len(self.thresholds) if self.along.doses else 0
        known = (0.0, shades.top(bars)) if measure.is_share else (*values, *zero)
        low, high = min(known), max(known)
        room = ROOM * (high - low or abs(high) or 1)
        return low - room, high + room

    def _ends(self, measure: Measure) -> list[Row]:
        """Where collapse ends: shaded everywhere, or for several combinations bars beside the share that collapsed."""
        doses = self.along.doses
        if doses is None:
            return []
        gap = [] if doses.gap is None else [{"kind": "break", "at": doses.gap}]
        is_share = measure.name == COLLAPSED
        if not self.along.is_several:
            words = shades.WORDS if is_share else ""
            found = [span for one in self.thresholds for span in shades.spans(doses, one)]
            return [*gap, *({**span, "words": words} for span in found)]
        labels = [self.along.told(response.others) for response in self.thresholds]
        return [*gap, *(shades.bars(doses, self.thresholds, labels) if is_share else [])]

    def _rules(self, measure: Measure) -> list[Row]:
        """No difference, and the floor of cv where all runs have the same."""
        if measure.name == DIFFERENCE:
            return [{"kind": "rule", "value": 0.0, "words": ""}]
        floors = {run.outcomes["cv_floor"] for _, run in self.along.arms.runs}
        if measure.name != "cv" or len(floors) > 1 or floors == {None}:
            return []
        return [{"kind": "rule", "value": floors.pop(), "words": "cv_floor"}]


def _cut(row: Row, low: float, high: float) -> Row:
    """`first` and `last`: as much of an interval as the panel has."""
    if row.get("low") is None:
        return row
    return {**row, "first": max(row["low"], low), "last": min(row["high"], high)}


def titled_panels(table: pd.DataFrame) -> list[Any]:
    """The panels in their order."""
    return list(dict.fromkeys(table["panel"]))
