"""Plans that somebody has prepared, under the seal or without: what a report takes apart is checked."""

import re
from pathlib import Path
from typing import Any

import pytest

from moe_lab.errors import ArtefactError
from moe_lab.store import records

PATH = Path("sweep.json")
POINT = {"name": "alpha-0.1", "settings": {"moe.alpha": 0.1}}
PLAN = {
    "keys": ["moe.alpha"],
    "points": [POINT],
    "seeds": [0],
    "baseline": "alpha-0.1",
    "rule": False,
}


def sweep(**plan: Any) -> dict[str, Any]:
    return {"created": "2026-01-01T00:00:00+00:00", "plan": {**PLAN, **plan}}


def of(key: str, value: object) -> dict[str, Any]:
    return sweep(keys=[key], points=[{**POINT, "settings": {key: value}}])


@pytest.mark.parametrize(
    "good",
    [
        sweep(),
        sweep(later=1),
        of("moe.router", {"name": "top_k", "score": "sigmoid"}),
        of("data.path", "a.txt"),
        of("data.path", {"a": "a.txt"}),
    ],
)
def test_a_plan_of_ours_passes(good: dict[str, Any]) -> None:
    records.check(records.Sweep, good, PATH)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({}, "created: Field required"),
        (sweep(points=[]), "plan.points: "),
        (sweep(seeds=[-1]), "plan.seeds.0: "),
        (sweep(baseline="other"), "plan: Value error, its points have no names"),
        (sweep(points=[POINT, POINT]), "plan: Value error, its points have no names"),
        (
            sweep(points=[{**POINT, "settings": {}}]),
            "plan: Value error, a point has other settings",
        ),
        (sweep(points=[{**POINT, "name": "../x"}], baseline="../x"), "plan.points.0.name: "),
        (sweep(points=[{**POINT, "name": ".."}], baseline=".."), "plan.points.0.name: "),
        (of("moe.nope", 1), "there is no setting 'moe.nope'"),
        (of("moe.router", {"name": "../../x"}), "this moe-lab has no router '../../x'"),
        (of("moe.balance", 3), "plan.points.0.settings: "),
        (of("data.path", [1]), "plan.points.0.settings"),
    ],
)
def test_a_plan_that_no_sweep_has_is_refused(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(ArtefactError, match=rf"^sweep\.json is corrupt: .*{re.escape(said)}"):
        records.check(records.Sweep, bad, PATH)
