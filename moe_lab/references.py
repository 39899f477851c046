"""Reference runs: the same model and data under a fixed assignment of tokens, which give a loss its meaning."""

import hashlib
import json
from typing import Any

from moe_lab.config import Config

# What may differ between a run and its references: how tokens are routed and kept balanced, and what is written.
FREE = {
    "": ("name", "log", "checkpoint"),
    "moe": (
        "router",
        "balance",
        "alpha",
        "noise",
        "extra",
        "init_tilt",
        "capacity_factor",
        "eval_capacity_factor",
        "drop_order",
    ),
    "train": ("router_lr_factor", "threads", "device"),
    "eval": ("every", "ablation"),
}
PLAIN = (  # routing without levers, for references
    "moe.alpha=0",
    "moe.noise=0",
    "moe.balance=switch",
    "moe.extra=[]",
    "moe.init_tilt=0",
    "moe.capacity_factor=null",
    "moe.eval_capacity_factor=null",
    "train.router_lr_factor=1",
)
DENSE = "dense"  # the reference without experts, of equal active width
ASSIGNMENTS = ("domain", "map_domain", "token_hash", "round_robin", "random", "single")


def role(config: Config) -> dict[str, Any]:
    """What run.json says of a run beside others: its assignment if it is a reference, its gates, and what it can
    be compared with: SHA-256 of the settings that it shares with its references, the seed included.
    """
    options = config.moe.router.options
    assignment = options.get("assignment")
    return {
        "reference": DENSE if config.model.moe_layers == "none" else assignment,
        "gate": options.get("gate", "learned"),
        "comparable": _shared(config, dense=False),
        "comparable_dense": _shared(config, dense=True),
    }


def settings(config: Config) -> dict[str, tuple[str, ...]]:
    """The overrides that turn a run into each of its references, by assignment; what its data do not know is left out.

    Gates are learned, and renormalised where the run's are.
    """
    renormalize = json.dumps(bool(config.moe.router.options.get("renormalize")))
    known = {"domain": config.data.labelled, "map_domain": config.data.law_known}
    routers = {
        name: f"moe.router={{name: reference, assignment: {name}, renormalize: {renormalize}}}"
        for name in ASSIGNMENTS
        if known.get(name, True)
    }
    named = {name: (f"name={config.name}-ref-{name}", *PLAIN) for name in (*routers, DENSE)}
    dense = {DENSE: ("moe.router=top_k", "model.moe_layers=none")}
    return {
        name: (*common, *dense.get(name, (routers.get(name, ""),)))
        for name, common in named.items()
    }


def _shared(config: Config, *, dense: bool) -> str:
    shared: dict[str, Any] = config.model_dump(mode="json")
    for section, keys in FREE.items():
        holder = shared[section] if section else shared
        for key in keys:
            del holder[key]
    if dense:
        del shared["model"]["moe_layers"]
    else:
        shared["renormalize"] = bool(config.moe.router.options.get("renormalize"))
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()
