"""Dose and response: how far one numeric setting must go before runs stop collapsing, the others being fixed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moe_lab.plan import Plan, Point
from moe_lab.statistics import LEVEL, Bracket, Threshold, bracket, threshold

Collapsed = Mapping[str, Mapping[int, bool]]  # of finished runs, by the point's name and the seed
ENOUGH = 6  # seeds: the fewest whose interval of a median attains 95 %


@dataclass(frozen=True)
class DoseResponse:
    """Where collapse ends along one setting, for one combination of the others."""

    key: str
    others: dict[str, Any]  # the other swept settings
    doses: tuple[float, ...]  # towards health: descending if more of it harms
    seeds: int  # those that finished at every dose; no others count
    threshold: Threshold | None  # None: every run collapsed

    def sentence(self) -> str:
        """Estimate, interval and number of seeds in words."""
        seeds = f"{self.seeds} {'seed' if self.seeds == 1 else 'seeds'}"
        if self.threshold is None:
            ends = f"{min(self.doses):g} to {max(self.doses):g}"
            return f"every run collapsed, at {self.key} from {ends} ({seeds})"
        where = f"collapse {self._place(self.threshold.estimate)} in the median seed"
        confidence = self.threshold.confidence
        if confidence is None:
            return f"{where} ({seeds})"
        short = f"; {100 * LEVEL:.0f} % needs {ENOUGH}" if confidence < LEVEL else ""
        low, high = self._ends(self.threshold.interval)
        return f"{where}; {100 * confidence:.0f} % interval {low} to {high} ({seeds}{short})"

    def _place(self, found: Bracket) -> str:
        match found:
            case Bracket(None, None):
                return f"may end at any {self.key}"
            case Bracket(None, safe):
                return f"ends at or before {self.key} {safe:g}"
            case Bracket(collapsed, None):
                return f"ends beyond {self.key} {collapsed:g}, if at all,"
        return f"ends between {self.key} {found.collapsed:g} and {found.safe:g}"

    def _ends(self, found: Bracket) -> tuple[str, str]:
        low, high = found.collapsed, found.safe
        first, last = f"before {self.doses[0]:g}", f"beyond {self.doses[-1]:g}"
        return first if low is None else f"{low:g}", last if high is None else f"{high:g}"


def responses(plan: Plan, collapsed: Collapsed) -> list[DoseResponse]:
    """Along the first swept setting that has several values, all numbers; none where no run collapsed."""
    key = next((key for key in plan.keys if _is_dose(plan, key)), None)
    if key is None:
        return []
    combinations: dict[str, list[Point]] = {}
    for point in plan.points:
        others = {name: point.settings[name] for name in plan.keys if name != key}
        combinations.setdefault(json.dumps(others), []).append(point)
    found = [
        _response(key, json.loads(others), points, collapsed)
        for others, points in combinations.items()
    ]
    return [response for response in found if response]


def _is_dose(plan: Plan, key: str) -> bool:
    values = [point.settings[key] for point in plan.points]
    return all(type(value) in (int, float) for value in values) and len(set(values)) > 1


def _response(
    key: str, others: dict[str, Any], points: Sequence[Point], collapsed: Collapsed
) -> DoseResponse | None:
    points = sorted(points, key=lambda point: float(point.settings[key]))
    doses, runs = [point.settings[key] for point in points], [collapsed[p.name] for p in points]
    complete = [seed for seed in runs[0] if all(seed in run for run in runs)]
    table = [[run[seed] for run in runs] for seed in complete]  # seeds x doses
    if len(doses) < 2 or not any(map(any, table)):
        return None
    onward = _towards_health(table)
    doses = doses[::onward]
    brackets = [bracket(doses, row[::onward]) for row in table]
    found = None if all(map(all, table)) else threshold(brackets, doses)
    return DoseResponse(key, others, tuple(doses), len(complete), found)


def _towards_health(table: Sequence[Sequence[bool]]) -> int:
    """1 if the upper half of the doses has at most as many collapses as the lower, -1 if it has more."""
    half = len(table[0]) // 2
    lower, upper = sum(sum(row[:half]) for row in table), sum(sum(row[-half:]) for row in table)
    return 1 if upper <= lower else -1
