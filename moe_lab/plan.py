"""What a sweep runs: points of a grid, each at every seed. A plan is written once and never changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Point:
    """One combination of swept settings."""

    name: str  # unique in its plan, and safe as a file name
    settings: Mapping[str, Any]  # by dotted path, as JSON has them


def run_name(point: str, seed: int) -> str:
    """What the run of a point, by its name, at a seed is called."""
    return f"{point}-s{seed}"


@dataclass(frozen=True)
class PlannedRun:
    """A point at one seed."""

    point: Point
    seed: int

    @property
    def name(self) -> str:
        """Of the run's folder, inside that of its sweep."""
        return run_name(self.point.name, self.seed)

    @property
    def settings(self) -> dict[str, Any]:
        """All that the run changes in the base of its sweep, by dotted path."""
        return {**self.point.settings, "seed": self.seed, "name": self.name}


def on_top(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A nested config with settings by dotted path in place of its own."""
    whole = dict(base)
    for path, value in settings.items():
        whole = _put(whole, path.split("."), value)
    return whole


def unequal(
    one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """The dotted path and both values of each setting that two nested configs have, and not alike."""
    for key in (key for key in one if key in other):
        here, there = one[key], other[key]
        if isinstance(here, dict) and isinstance(there, dict):
            yield from unequal(here, there, f"{prefix}{key}.")
        elif here != there:
            yield f"{prefix}{key}", here, there


def _put(tree: Mapping[str, Any], steps: Sequence[str], value: Any) -> dict[str, Any]:
    first, *rest = steps
    return {**tree, first: _put(tree[first], rest, value) if rest else value}


@dataclass(frozen=True)
class Plan:
    """The grid of a sweep; replicates have the same seed at every point, so that differences are paired."""

    keys: tuple[str, ...]  # swept settings, dotted
    points: tuple[Point, ...]
    seeds: tuple[int, ...]
    baseline: str  # name of the point that others are compared with
    rule: bool = False  # whether the tuning rule is followed, too, from run to run

    @property
    def runs(self) -> list[PlannedRun]:
        """Seed by seed, so that a sweep which is stopped has whole replicates."""
        return [PlannedRun(point, seed) for seed in self.seeds for point in self.points]

    def most_threads(self, base: int) -> int:
        """The threads of the run that has most; `base` where they are not swept."""
        return max(int(point.settings.get("train.threads", base)) for point in self.points)

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_json` gave, after JSON. Raises KeyError and TypeError for anything else."""
        return cls(
            keys=tuple(stored["keys"]),
            points=tuple(Point(**point) for point in stored["points"]),
            seeds=tuple(stored["seeds"]),
            baseline=stored["baseline"],
            rule=stored["rule"],
        )
