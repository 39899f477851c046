"""What is not the same between a sweep that is stored and one that is asked for."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from moe_lab.config import Config
from moe_lab.plan import Plan, Point, on_top
from moe_lab.report import compare
from moe_lab.sweep.grid import Grid
from moe_lab.sweep.naming import word

NOT_COMPARED = ("name", "seed")  # of the bases: every run has its own


def differences(stored: Plan, base_stored: Config, asked: Grid) -> list[str]:
    """A line for each difference, empty for the same sweep; names and the order of points do not count."""
    plan = asked.plan
    lines = list(_points(stored, plan))
    if not lines:
        lines += _bases(base_stored, asked.base.config, plan.points[0])
        lines += _line("baseline", _baseline(stored), _baseline(plan))
    lines += _line("seeds", *(" ".join(map(str, each.seeds)) for each in (stored, plan)))
    lines += _line("rule", *("yes" if each.rule else "no" for each in (stored, plan)))
    return lines


def _line(name: str, there: str, here: str) -> list[str]:
    return [f"{name}: {there} there, {here} here"] if there != here else []


def _points(stored: Plan, asked: Plan) -> Iterator[str]:
    """By key where its values differ; else the points of which one of the two sweeps has no twin."""
    there, here = ({_text(p.settings): p for p in plan.points} for plan in (stored, asked))
    if there.keys() == here.keys():
        return
    found = [
        f"{key}: {_values(stored, key)} there, {_values(asked, key)} here"
        for key in dict.fromkeys((*stored.keys, *asked.keys))
        if set(_texts(stored, key)) != set(_texts(asked, key))
    ]
    yield from found or _line("points", _lone(there, here), _lone(here, there))


def _texts(plan: Plan, key: str) -> dict[str, Any]:
    """The values of a key by their texts, in order; none if it is not swept."""
    swept = [point for point in plan.points if key in plan.keys]
    return {_text(point.settings[key]): point.settings[key] for point in swept}


def _values(plan: Plan, key: str) -> str:
    return " ".join(word(key, value) for value in _texts(plan, key).values()) or "not swept"


def _lone(points: Mapping[str, Point], others: Mapping[str, Point]) -> str:
    return " ".join(p.name for text, p in points.items() if text not in others) or "none more"


def _bases(there: Config, here: Config, point: Point) -> Iterator[str]:
    """The settings that the points leave as they are, each with its two values."""
    left, right = (
        compare.settings(on_top(base.model_dump(mode="json"), point.settings))
        for base in (there, here)
    )
    for key in dict.fromkeys((*left, *right)):
        if key not in NOT_COMPARED and left.get(key) != right.get(key):
            yield f"{key}: {word(key, left.get(key))} there, {word(key, right.get(key))} here"


def _baseline(plan: Plan) -> str:
    point = next(point for point in plan.points if point.name == plan.baseline)
    return " ".join(f"{key}={word(key, point.settings[key])}" for key in sorted(plan.keys))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
