"""What ranges cannot say about routing: settings that contradict each other, and what has no effect.

Options are read by key, whichever router has them; what a router cannot do is said by its class.
"""

from collections.abc import Iterator

from moe_lab.config.data import Data
from moe_lab.config.findings import Finding
from moe_lab.config.schema import Config, Moe
from moe_lab.registry import ROUTERS


def router_refusals(config: Config) -> Iterator[Finding]:
    """Every contradiction among the router's keys, with its reason."""
    moe = config.moe
    yield from _choices(moe)
    yield from _gates(moe)
    yield from _noise(moe)
    yield from _groups(moe)
    yield from _labels(moe, config.data)


def _choices(moe: Moe) -> Iterator[Finding]:
    if moe.top_k > moe.n_experts:
        yield Finding(
            ("moe.top_k", "moe.n_experts"),
            f"'moe.top_k' ({moe.top_k}) must not exceed 'moe.n_experts' ({moe.n_experts})",
            f"use top_k <= {moe.n_experts}, or raise n_experts",
            also="moe.n_experts",
        )


def _gates(moe: Moe) -> Iterator[Finding]:
    options = moe.router.options
    if moe.top_k == 1 and options.get("renormalize"):
        yield Finding(
            ("moe.router.renormalize", "moe.router", "moe.top_k"),
            "with top_k 1 a renormalised gate is always 1: the task gives the router no gradient",
            "use renormalize: false, or top_k >= 2",
        )
    if moe.top_k == 1 and ROUTERS.fact(moe.router.name, "always_renormalizes"):
        yield Finding(
            ("moe.top_k", "moe.router"),
            f"with top_k 1 the gate of the router '{moe.router.name}' is always 1: "
            "the task gives it no gradient",
            "use top_k >= 2",
        )
    if options.get("renormalize_over") == "kept" and not options["renormalize"]:
        yield Finding(
            ("moe.router.renormalize_over",),
            "'moe.router.renormalize_over' has nothing to act on: gates are not renormalised",
            "add renormalize: true",
        )


def _noise(moe: Moe) -> Iterator[Finding]:
    ignored = ROUTERS.fact(moe.router.name, "ignores_noise")
    if ignored and moe.noise:
        yield Finding(
            ("moe.noise", "moe.router"),
            f"'moe.noise' ({moe.noise:g}) does not act on the router '{moe.router.name}'",
            "use noise: 0",
        )
    if not ignored and moe.init_std == moe.init_tilt == moe.noise == 0:
        yield Finding(
            ("moe.init_std", "moe.noise", "moe.init_tilt"),
            "a router that starts at zero, without noise, ties on every token",
            "set init_std or noise above 0",
        )


def _groups(moe: Moe) -> Iterator[Finding]:
    options, key = moe.router.options, "moe.router.n_groups"
    if "n_groups" not in options:
        return
    n_groups, top_groups = options["n_groups"], options["top_groups"]
    if moe.n_experts % n_groups:
        yield Finding(
            (key, "moe.n_experts"),
            f"'{key}' ({n_groups}) does not divide 'moe.n_experts' ({moe.n_experts}) into equal groups",
            "use a divisor, or 1 for no groups",
        )
    elif top_groups > n_groups:
        yield Finding(
            ("moe.router.top_groups", key),
            f"'moe.router.top_groups' ({top_groups}) must not exceed '{key}' ({n_groups})",
            f"use top_groups <= {n_groups}",
        )
    elif (eligible := top_groups * moe.n_experts // n_groups) < moe.top_k <= moe.n_experts:
        yield Finding(
            ("moe.top_k", "moe.router.top_groups", key),
            f"'moe.top_k' ({moe.top_k}) exceeds the {eligible} experts of {top_groups} of {n_groups} groups",
            "raise top_groups, or use a smaller top_k",
        )


def _labels(moe: Moe, data: Data) -> Iterator[Finding]:
    assignment = moe.router.options.get("assignment")
    keys = ("moe.router.assignment", "data.source", "data.path")
    if assignment == "domain" and not data.labelled:
        yield Finding(
            keys,
            "'moe.router.assignment' domain needs data whose tokens have a domain: a single text has none",
            "use token_hash, or several texts: path: {label: file, …}",
        )
    if assignment == "map_domain" and not data.law_known:
        yield Finding(
            keys,
            "'moe.router.assignment' map_domain needs data whose law is known: "
            f"the domains of '{data.source}' cannot be inferred exactly",
            "use source: domains, or another assignment",
        )


def router_warnings(config: Config) -> Iterator[Finding]:
    """What is done as asked, but may not be what was meant."""
    moe = config.moe
    limited = moe.capacity_factor is not None or moe.eval_capacity_factor is not None
    if moe.router.options.get("renormalize_over") == "kept" and not limited:
        yield Finding(
            ("moe.router.renormalize_over",),
            "'moe.router.renormalize_over' kept has no effect: without a capacity nothing is dropped",
            "set capacity_factor",
        )
    if moe.drop_order != "position" and not limited:
        yield Finding(
            ("moe.drop_order",),
            f"'moe.drop_order' ({moe.drop_order}) has no effect: without a capacity nothing is dropped",
            "set capacity_factor",
        )
