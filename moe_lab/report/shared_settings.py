"""On what a sweep was made: the settings that all of its runs share."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from moe_lab.config import Config
from moe_lab.config.data import DATA
from moe_lab.report import compare

SECTIONS = ("model", "moe", "train", "eval")  # what decides a result, beside data
PLACES = ("data.path", "data.tokenizer")
TOKENS_PER_STEP = ("train.batch_size", "train.accumulate", "data.seq_len")
MAIN = frozenset(
    {
        *("data.source", "data.path", "data.n_domains", "data.vocab_size", "data.seq_len"),
        *("data.common", "data.zipf", "model.n_layers", "model.d_model"),
        *("moe.n_experts", "moe.top_k", "moe.alpha", "moe.balance", "train.steps"),
    }
)


def facts(base: Mapping[str, Any], swept: Sequence[str]) -> dict[str, Any]:
    """By dotted key, without the swept ones: main settings, others not at their default, and tokens_per_step.

    base: the nested config. Of files there are only labels and last names: their places differ between machines.
    """
    data = {k: named(v) if f"data.{k}" in PLACES else v for k, v in base["data"].items()}
    found = compare.settings({"data": data, **{name: base[name] for name in SECTIONS}})
    usual = compare.settings(defaults(base["data"]["source"]))
    told = {
        key: value
        for key, value in found.items()
        if not _is_swept(key, swept) and _tells(key, value, usual.get(key))
    }
    if not any(_is_swept(key, swept) for key in TOKENS_PER_STEP):
        told["train.tokens_per_step"] = prod(found[key] for key in TOKENS_PER_STEP)
    return told


def named(path: str | Mapping[str, str] | None) -> str | None:
    """Labels of files, or the last part of a path."""
    if path is None or isinstance(path, str):
        return path and Path(path).name
    return ", ".join(path)


def _tells(key: str, value: Any, usual: Any) -> bool:
    return value is not None if key in MAIN else bool(value != usual)


def _is_swept(key: str, swept: Sequence[str]) -> bool:
    """Whether a leaf is, holds or belongs to a swept setting: a method is one leaf, a mapping of weights several.

    With its source, all of the data is swept.
    """
    if key.startswith("data.") and "data.source" in swept:
        return True
    return any(f"{key}.".startswith(f"{s}.") or s.startswith(f"{key}.") for s in swept)


def defaults(source: str) -> dict[str, Any]:
    """A config of which nothing was asked but the source of its data, nested."""
    fields = DATA[source].model_fields.items()
    data = {name: field.default for name, field in fields if not field.is_required()}
    return {**Config().model_dump(), "data": data}
