"""From what was asked to a plan: a product of axes, each point checked before anything runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from moe_lab.config import Config, Resolved, read, resolve
from moe_lab.config.files import ConfigFile
from moe_lab.config.source import Node, located
from moe_lab.errors import ConfigError, Place, Problem
from moe_lab.plan import Plan, Point
from moe_lab.sweep import axes, file
from moe_lab.sweep.asked import Asked
from moe_lab.sweep.check import Combination, resolved_points, same_experiments
from moe_lab.sweep.naming import point_names, sweep_name
from moe_lab.sweep.seeds import replicates, written

MAX_RUNS = 200
MOST_POINTS = 100_000  # of a product, before exclusion: all are written out
SEEDS = "3"
YAML = (".yaml", ".yml")
COLLAPSE = located({"name": "collapse", "moe": {"alpha": 0}}, Place("packaged"))


@dataclass(frozen=True)
class Grid:
    """A sweep that can start."""

    plan: Plan
    base: Resolved  # what all runs share; its name is that of the config
    name: str  # of the sweep
    warnings: tuple[Problem, ...]
    configs: tuple[Config, ...]  # of the points, at the config's own seed


def plan(
    texts: Sequence[str],
    *,
    config: str | Path | None = None,
    seeds: str | None = None,
    name: str | None = None,
    rule: bool = False,
    max_runs: int = MAX_RUNS,
) -> Grid:
    """The runs that axes, settings and a sweep file ask for; without any config, of the packaged `collapse`.

    texts: as on the command line. config, seeds and name win over those of the file.
    Raises ConfigError with all that is wrong in what was asked, else with all that is wrong at its points.
    """
    problems: list[Problem] = []
    asked = _asked([*texts, *([] if name is None else [f"name={name}"])], problems)
    source = _source(config, asked.base, problems)
    chosen = _seeds(written(seeds) if seeds is not None else asked.seeds, source, problems)
    _refuse(problems)
    points = _points(asked, problems, replicates=seeds is not None and len(chosen) > 1)
    if rule and points and list(points[0]) != ["moe.alpha"]:
        problems.append(
            Problem("the tuning rule moves alpha alone", help="moe-lab sweep alpha --rule")
        )
    if len(points) * len(chosen) > max_runs:
        problems.append(_too_many(len(points), len(chosen), max_runs))
    _refuse(problems)
    return _checked(source, asked, points, chosen, rule=rule)


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise ConfigError.of(problems)


def _asked(texts: Sequence[str], problems: list[Problem]) -> Asked:
    """Of a sweep file, if one is named, and the command line."""
    files = [text for text in texts if "=" not in text and Path(text).suffix in YAML]
    line = axes.parse([text for text in texts if text not in files], problems)
    if len(files) > 1:
        message = f"two sweep files were given: {files[0]} and {files[1]}"
        problems.append(Problem(message, help="give one file"))
    return file.combined(file.read(Path(files[0]), problems), line, problems) if files else line


def _source(path: str | Path | None, of_file: Node | None, problems: list[Problem]) -> ConfigFile:
    """The config that is swept: that of the command line, of the sweep file, or the packaged one."""
    if path is not None:
        return read(path, problems)
    if of_file is not None:
        return read(of_file.value, problems, of_file.place)
    return ConfigFile(b"", COLLAPSE, ())


def _seeds(asked: Node | None, source: ConfigFile, problems: list[Problem]) -> tuple[int, ...]:
    node = source.tree.at(("seed",)) if source.tree else None
    default: int = Config.model_fields["seed"].default
    base_seed = node.value if node and type(node.value) is int else default
    return replicates(asked or written(SEEDS), base_seed, problems)


def _points(asked: Asked, problems: list[Problem], *, replicates: bool) -> list[Combination]:
    """The product of the axes, the first varying slowest, less what is excluded; without axes the base alone."""
    if not asked.swept and replicates:
        return [{}]
    if not asked.swept:
        problems.append(
            Problem(
                "there is nothing to sweep",
                help=f"several values are written A,B; {axes.with_grids()}; --seeds N alone repeats a config",
            )
        )
        return []
    count = prod(len(axis.rows) for axis in asked.swept)
    if count > MOST_POINTS:
        message = f"these axes have {count:,} points; the limit is {MOST_POINTS:,}"
        problems.append(Problem(message, asked.swept[-1].place, "give some of them fewer values"))
        return []
    problems += _foreign_exclusions(asked)
    return [] if problems else _kept(asked, problems)


def _foreign_exclusions(asked: Asked) -> Iterator[Problem]:
    known = {*asked.fixed, *(key for axis in asked.swept for key in axis.keys)}
    for exclusion in asked.exclude:
        for key in set(exclusion.values) - known:
            yield Problem(
                f"'{key}' is excluded but not swept", exclusion.place, "name it in an axis"
            )


def _kept(asked: Asked, problems: list[Problem]) -> list[Combination]:
    fixed = asked.fixed
    kept = [
        point
        for point in _product(asked)
        if not any(exclusion.matches({**fixed, **point}) for exclusion in asked.exclude)
    ]
    if not kept:
        problems.append(Problem("every point is excluded", asked.exclude[0].place))
    return kept


def _product(asked: Asked) -> Iterator[Combination]:
    swept = asked.swept
    for rows in product(*(axis.rows for axis in swept)):
        pairs = zip(swept, rows, strict=True)
        yield {key: node for axis, row in pairs for key, node in zip(axis.keys, row, strict=True)}


def _too_many(points: int, seeds: int, max_runs: int) -> Problem:
    runs = points * seeds
    return Problem(
        f"{points:,} points × {seeds:,} seeds are {runs:,} runs; the limit is {max_runs:,}",
        help=f"sweep fewer values or seeds, or allow so many: --max-runs {runs}",
    )


def _checked(
    source: ConfigFile,
    asked: Asked,
    combinations: Sequence[Combination],
    seeds: tuple[int, ...],
    *,
    rule: bool,
) -> Grid:
    fixed = asked.fixed
    resolved = resolved_points(source, fixed, combinations)
    configs = [each.config.model_dump(mode="json") for each in resolved]
    _refuse(list(same_experiments(combinations, configs)))
    named = fixed.pop("name", None)  # of the sweep, checked with its points
    base = _base(source, fixed, combinations[0])
    keys = tuple(combinations[0])
    points = _named(keys, configs)
    found = Plan(keys, points, seeds, _baseline(points, base.config), rule)
    warnings = dict.fromkeys(warning for each in resolved for warning in each.warnings)
    return Grid(
        plan=found,
        base=base,
        name=named.value if named else sweep_name(keys),
        warnings=(*warnings, *_idle_exclusions(asked)),
        configs=tuple(each.config for each in resolved),
    )


def _base(source: ConfigFile, fixed: Mapping[str, Node], first: Combination) -> Resolved:
    """What all points share; where that is no config without them, as for a path of data, the first point."""
    try:
        return resolve(source, fixed)
    except ConfigError:
        return resolve(source, {**fixed, **first})


def _named(keys: Sequence[str], configs: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    """The swept settings of each config; with its source, all of its data: another's keys are not carried over."""
    swept = [{key: _at(config, key) for key in keys} for config in configs]
    data = [{f"data.{key}": value for key, value in config["data"].items()} for config in configs]
    carried = data if "data.source" in keys else [{} for _ in configs]
    settings = [{**c, **s} for c, s in zip(carried, swept, strict=True)]
    return tuple(map(Point, point_names(swept), settings))


def _baseline(points: Sequence[Point], base: Config) -> str:
    """The point that is the base itself, else the first."""
    shared = base.model_dump(mode="json")
    wanted = {key: _at(shared, key) for key in points[0].settings}
    return next((point.name for point in points if point.settings == wanted), points[0].name)


def _idle_exclusions(asked: Asked) -> Iterator[Problem]:
    fixed = asked.fixed
    for exclusion in asked.exclude:
        if not any(exclusion.matches({**fixed, **point}) for point in _product(asked)):
            yield Problem("this excludes no point", exclusion.place)


def _at(config: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None where the choice made there has no such key."""
    value: Any = config
    for step in path.split("."):
        value = value.get(step)
    return value
