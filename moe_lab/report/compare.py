"""Several runs side by side: the settings in which they differ."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from moe_lab.registry import BALANCERS, ROUTERS, Registry
from moe_lab.report.outcomes import Glance

NOT_COMPARED = ("name",)
METHODS = {"moe.router": ROUTERS, "moe.balance": BALANCERS}


def flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a nested config with its dotted key; a method is one leaf."""
    for key, value in config.items():
        if registry := METHODS.get(f"{prefix}{key}"):
            yield f"{prefix}{key}", method(registry, value)
        elif isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """Every leaf by its dotted key; alpha is None where it weighs nothing."""
    found = dict(flat(config))
    balance = config.get("moe", {}).get("balance")
    if balance and not _has_loss(balance["name"]):
        found["moe.alpha"] = None
    return found


def method(registry: Registry, settings: Mapping[str, Any]) -> str:
    """A method in one line: its name, and the options that are not at their defaults."""
    defaults = _defaults(registry, settings["name"])
    set_ = {k: v for k, v in settings.items() if k in defaults and v != defaults[k]}
    return " ".join([settings["name"], *(f"{key}={value}" for key, value in set_.items())])


def differences(runs: Sequence[Glance]) -> dict[str, list[Any]]:
    """Settings that are not the same in all runs, with each run's value (None: not there)."""
    configs = [settings(run.config) for run in runs]
    keys = dict.fromkeys(key for config in configs for key in config if key not in NOT_COMPARED)
    values = {key: [config.get(key) for config in configs] for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


@cache  # a file of source text is read: too slow for every run of a thousand
def _defaults(registry: Registry, name: str) -> Mapping[str, Any]:
    return {key: option.default for key, option in registry.options(name).items()}


@cache
def _has_loss(balancer: str) -> bool:
    return BALANCERS.fact(balancer, "has_loss") is not False
