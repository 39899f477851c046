"""Several runs side by side: the settings in which they differ, and what came of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from moe_lab.registry import BALANCERS, ROUTERS, Registry

Summary = dict[str, Any]
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
    if balance and BALANCERS.fact(balance["name"], "has_loss") is False:
        found["moe.alpha"] = None
    return found


def method(registry: Registry, settings: Mapping[str, Any]) -> str:
    """A method in one line: its name, and the options that are not at their defaults."""
    options = registry.options(settings["name"])
    set_ = {k: v for k, v in settings.items() if k in options and v != options[k].default}
    return " ".join([settings["name"], *(f"{key}={value}" for key, value in set_.items())])


def differences(summaries: list[Summary]) -> dict[str, list[Any]]:
    """Settings that are not the same in all runs, with each run's value (None: not there)."""
    configs = [settings(summary["config"]) for summary in summaries]
    keys = dict.fromkeys(key for config in configs for key in config if key not in NOT_COMPARED)
    values = {key: [config.get(key) for config in configs] for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def outcomes(summary: Summary) -> dict[str, Any]:
    """The numbers that runs are compared by; None where a run has none yet."""
    loss, balance = summary["loss"], {row["layer"]: row for row in summary["balance"]}
    worst, mean = balance.get("worst", {}), balance.get("mean", {})
    course = next(
        (c for c in summary["evidence"] if c["layer"] == summary["worst_layer"]), dict[str, Any]()
    )
    collapses = course.get("onsets", ()) if summary["verdict"] == "collapsed" else ()
    shares = [s for s in summary["auxiliary"]["router_grad_share"].values() if s is not None]
    return {
        "verdict": summary["verdict"],
        "worst layer": summary["worst_layer"],
        "  n_eff at step 0": course.get("start"),
        "  n_eff lowest": course.get("lowest"),
        "    at step": course.get("lowest_step"),
        "  n_eff at the end": course.get("end"),
        "  collapse since step": collapses[-1] if collapses else None,
        "lm_loss": loss.get("lm_loss"),
        "gap": loss.get("gap"),
        "rho": summary["rho"],
        "nmi": loss.get("nmi"),
        "cv, mean over layers": mean.get("cv"),
        "cv, worst layer": worst.get("cv"),
        "cv_floor": mean.get("cv_floor"),
        "max_violation, worst layer": worst.get("max_violation"),
        "dead_experts, worst layer": worst.get("dead_experts"),
        "dropped in training, worst layer": worst.get("dropped"),
        "aux_loss / lm_loss": summary["auxiliary"]["aux_over_lm"],
        "router gradient from balance, largest": max(shares, default=None),
        "tokens_per_s": summary["throughput"].get("tokens_per_s"),
    }
