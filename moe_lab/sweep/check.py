"""Every point of a grid held against the config, before anything runs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moe_lab.config import Resolved, resolve
from moe_lab.config.files import ConfigFile
from moe_lab.config.source import Node
from moe_lab.errors import ConfigError, Place, Problem
from moe_lab.registry import BALANCERS
from moe_lab.report import compare
from moe_lab.sweep.asked import shown
from moe_lab.sweep.naming import labels

Combination = Mapping[str, Node]  # the values of one point, by dotted path
ALPHA, BALANCE = "moe.alpha", "moe.balance"


def resolved_points(
    file: ConfigFile, fixed: Mapping[str, Node], points: Sequence[Combination]
) -> list[Resolved]:
    """The config of each point. Raises ConfigError with what is wrong, and at which points."""
    resolved: list[Resolved] = []
    wrong: dict[Problem, list[Combination]] = {}
    looked_at: dict[str, Sequence[Problem]] = {}
    for point in points:
        found, problems = _attempt(file, {**fixed, **point}, looked_at)
        resolved += [found] if found else []
        for problem in problems:
            wrong.setdefault(problem, []).append(point)
    if wrong:
        everywhere = len(points)
        raise ConfigError.of(
            [
                problem if len(at) == everywhere else _at_points(problem, at)
                for problem, at in wrong.items()
            ]
        )
    return resolved


def _attempt(
    file: ConfigFile, given: Mapping[str, Node], looked_at: dict[str, Sequence[Problem]]
) -> tuple[Resolved | None, Sequence[Problem]]:
    """A point's config or its problems; files of data are read once for all points that share them."""
    try:
        found = resolve(file, given, data_exists=False)
    except ConfigError as error:
        return None, error.problems
    data = found.config.data.model_dump_json()
    if data not in looked_at:
        looked_at[data] = _problems(file, given)
    return found, looked_at[data]


def _problems(file: ConfigFile, given: Mapping[str, Node]) -> Sequence[Problem]:
    try:
        resolve(file, given)
    except ConfigError as error:
        return error.problems
    return ()


def _at_points(problem: Problem, points: Sequence[Combination]) -> Problem:
    more = f" and {len(points) - 1} more" if len(points) > 1 else ""
    return Problem(
        f"point {named(points[0])}{more}: {problem.message}", problem.place, problem.help
    )


def named(point: Combination) -> str:
    """A point as it would be asked for: `n_experts=2 top_k=4`."""
    label = labels(list(point))
    return " ".join(f"{label[key]}={shown(node)}" for key, node in point.items())


def same_experiments(
    points: Sequence[Combination], configs: Sequence[Mapping[str, Any]]
) -> Iterator[Problem]:
    """Points that would train the same, with the reason where it is alpha; configs are as JSON has them."""
    first: dict[str, int] = {}
    idle = set()
    for index, config in enumerate(configs):
        settings = compare.settings(dict(config))
        before = first.setdefault(json.dumps(settings, sort_keys=True), index)
        if before == index:
            continue
        balancer = config["moe"]["balance"]["name"]
        by_alpha = ALPHA in points[index] and settings[ALPHA] is None
        if by_alpha and balancer not in idle:
            idle.add(balancer)
            yield _idle_alpha(points[index], balancer)
        elif not by_alpha:
            yield _repeated(points[index], points[before])


def _idle_alpha(point: Combination, balancer: str) -> Problem:
    message = (
        f"'{ALPHA}' cannot be swept with the balancer '{balancer}': it has no loss to be weighed"
    )
    weighed = next(
        name for name in BALANCERS.names() if BALANCERS.fact(name, "has_loss") is not False
    )
    if BALANCE in point:
        remedy = f"pair the two, each balancer with its own alphas: balance:alpha={balancer}:0,…"
    else:
        remedy = f"sweep another key, or use a balancer that has one, such as balance={weighed}"
    return Problem(message, point[ALPHA].place, remedy)


def _repeated(point: Combination, before: Combination) -> Problem:
    place: Place = next(iter(point.values())).place
    message = f"points {named(before)} and {named(point)} are the same experiment"
    return Problem(message, place, "keep one of the two")
