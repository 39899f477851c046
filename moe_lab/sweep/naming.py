"""What points and sweeps are called: short, and safe as file names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moe_lab.config.dump import flow
from moe_lab.report.compare import METHODS, method

LONGEST = 40  # characters of a point; with `-s` and the longest seed it is still a run's name
LONGEST_SWEEP = 50


def labels(paths: Sequence[str]) -> dict[str, str]:
    """The last part of each path where that tells it from the others, else the whole."""
    leaves = [path.rpartition(".")[2] for path in paths]
    return {
        path: leaf if leaves.count(leaf) == 1 else path
        for path, leaf in zip(paths, leaves, strict=True)
    }


def sweep_name(paths: Sequence[str]) -> str:
    """`sweep-alpha-top_k`; of seeds alone `sweep-seeds`."""
    return "-".join(["sweep", *(labels(paths).values() or ["seeds"])])[:LONGEST_SWEEP]


def point_names(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each point's settings: `alpha-0.01_top_k-2`; numbers where these are too long or alike."""
    names = [_name(settings) for settings in points]
    distinct = {name.casefold() for name in names}  # some file systems ignore the case
    if len(distinct) == len(names) and max(map(len, names)) <= LONGEST:
        return names
    width = max(3, len(str(len(names) - 1)))
    return [f"point-{index:0{width}}" for index in range(len(names))]


def _name(settings: Mapping[str, Any]) -> str:
    label = labels(list(settings))
    parts = (f"{label[key]}-{word(key, value)}" for key, value in settings.items())
    return re.sub(r"[^A-Za-z0-9._-]", "-", "_".join(parts)) or "base"


def word(path: str, value: Any) -> str:
    """A setting, as JSON has it, in few characters."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0").replace("e+", "e")
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(word(path, item) for item in value)
    return method(METHODS[path], value) if path in METHODS else flow(value)
