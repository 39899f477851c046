"""Which modules of a model are its routers, and in which layer each stands."""

import re
from collections.abc import Iterable, Mapping

from torch import nn

from moe_lab.errors import ConfigError
from moe_lab.moe import MoELayer

# Ends of class names, in the order in which they are tried: other things are called gates, too.
SUFFIXES = ("Router", "Gate", "Gating")
HINT = re.compile("moe|expert|rout|gat|switch", re.IGNORECASE)
SHOWN = 8

Found = dict[str, nn.Module]  # by module name


def find_routers(model: nn.Module, pattern: str | None) -> dict[int, str]:
    """Names of the router modules by layer, which is the first number in the name (0 if there is none).

    Routers are our own MoE layers, else what has a class whose name ends in one of SUFFIXES. A pattern, a regular
    expression on module names, chooses among them, or among all modules if it matches none of them.
    Raises ConfigError if nothing is found, or two in one layer.
    """
    modules = dict(model.named_modules())
    named = modules if pattern is None else _named(modules, pattern)
    found = _of_our_own(named) or _of_class(named) or ({} if pattern is None else named)
    if not found:
        raise _nothing_found(modules, pattern)
    return _by_layer(found)


def _of_our_own(modules: Mapping[str, nn.Module]) -> Found:
    return {name: module for name, module in modules.items() if isinstance(module, MoELayer)}


def _of_class(modules: Mapping[str, nn.Module]) -> Found:
    for suffix in SUFFIXES:
        found = {n: m for n, m in modules.items() if type(m).__name__.endswith(suffix)}
        if found:
            return found
    return {}


def _named(modules: Mapping[str, nn.Module], pattern: str) -> Found:
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"routers={pattern!r} is no regular expression: {error}") from None
    return {name: module for name, module in modules.items() if wanted.search(name)}


def _by_layer(found: Iterable[str]) -> dict[int, str]:
    layers: dict[int, str] = {}
    for name in found:
        number = next((int(part) for part in name.split(".") if part.isdecimal()), 0)
        if number in layers:
            raise ConfigError(
                f"two routers in layer {number}: {layers[number]} and {name}",
                help="choose the ones to watch by a regular expression on their names: routers=r'…'",
            )
        layers[number] = name
    return dict(sorted(layers.items()))


def _nothing_found(modules: Mapping[str, nn.Module], pattern: str | None) -> ConfigError:
    if pattern is None:
        looked_for = f"no class name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    else:
        looked_for = f"no module name matches routers={pattern!r}"
    classes = dict.fromkeys(type(module).__name__ for module in modules.values())
    near = [name for name in classes if HINT.search(name)] or list(classes)
    names = [name for name in modules if HINT.search(name)]
    lines = [f"the nearest of its classes: {', '.join(near[:SHOWN])}"]
    if names:
        lines.append(f"of its module names: {', '.join(names[:SHOWN])}")
    lines.append("name the modules that return router logits: routers=r'…'")
    return ConfigError(f"the model has no router: {looked_for}", help="; ".join(lines))
