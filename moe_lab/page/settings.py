"""What was asked of runs: the settings that tell them apart, or tell a run from the defaults, and all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from moe_lab.report import compare, shared_settings
from moe_lab.report.outcomes import Glance
from moe_lab.report.pages import Sheet
from moe_lab.report.sweep_pages import setting


def differences(runs: Sequence[Glance]) -> Sheet:
    """Settings that are not the same in all runs: a row each."""
    rows = (
        (key, *(setting(key, value) for value in values))
        for key, values in compare.differences(runs).items()
    )
    return Sheet(("setting", *(run.name for run in runs)), tuple(rows))


def chosen(config: Mapping[str, Any], swept: Mapping[str, str] | None = None) -> Sheet:
    """Settings that are not at their default, or are swept; of another's loop, which has none, what is known."""
    given, swept = leaves(config), swept or {}
    usual = leaves(shared_settings.defaults(config["data"]["source"])) if "data" in config else {}
    rows = (
        (key, swept.get(key, value), usual.get(key))
        for key, value in given.items()
        if key != "name" and (key in swept or value != usual.get(key))
    )
    return Sheet(("setting", "here", "default"), tuple(rows))


def everything(config: Mapping[str, Any]) -> Sheet:
    """Every setting by its dotted path."""
    return Sheet(("setting", "value"), tuple(leaves(config).items()))


def leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a config file has them, without the places of files, which differ between machines."""
    return {key: setting(key, value) for key, value in compare.settings(dict(config)).items()}
