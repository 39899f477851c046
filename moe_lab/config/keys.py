"""Every config key by its dotted path, and what a misspelt one was probably meant to be."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from moe_lab.config.data import DATA
from moe_lab.config.methods import Method, Settings, WeightedMethod, method_models
from moe_lab.config.schema import Config
from moe_lab.registry import BALANCERS, ROUTERS

SYNONYMS = {  # what other programs call it
    "learning_rate": "lr",
    "num_experts": "n_experts",
    "num_local_experts": "n_experts",
    "experts": "n_experts",
    "k": "top_k",
    "num_experts_per_tok": "top_k",
    "experts_per_token": "top_k",
    "aux_loss_weight": "alpha",
    "aux_loss_coef": "alpha",
    "router_aux_loss_coef": "alpha",
    "balance_coef": "alpha",
    "capacity": "capacity_factor",
    "router_noise": "noise",
    "jitter": "noise",
    "balancing": "balance",
    "balancer": "balance",
    "lr_warmup": "warmup",
    "warmup_steps": "warmup",
    "schedule": "lr_schedule",
    "scheduler": "lr_schedule",
    "clip": "grad_clip",
    "max_grad_norm": "grad_clip",
    "max_steps": "steps",
    "iterations": "steps",
    "epochs": "steps",
    "batch": "batch_size",
    "gradient_accumulation_steps": "accumulate",
    "num_layers": "n_layers",
    "layers": "n_layers",
    "num_heads": "n_heads",
    "heads": "n_heads",
    "dim": "d_model",
    "hidden_size": "d_model",
    "d_ff": "d_expert",
    "intermediate_size": "d_expert",
    "block_size": "seq_len",
    "context": "seq_len",
    "sequence_length": "seq_len",
    "kind": "source",
    "dataset": "source",
    "file": "path",
    "gpu": "cuda",
    "num_domains": "n_domains",
    "vocab": "vocab_size",
    "weight": "alpha",
}


@cache
def choices() -> dict[str, Mapping[str, type[Settings]]]:
    """Sections whose keys depend on a choice: its possible values and their models."""
    return {
        "data": DATA,
        "moe.router": method_models(ROUTERS, Method),
        "moe.balance": method_models(BALANCERS, Method),
        "moe.extra": method_models(BALANCERS, WeightedMethod),
    }


@cache
def sections() -> dict[str, type[Settings]]:
    """Sections whose keys are always the same; the root is the empty path."""
    plain = {name: field.annotation for name, field in Config.model_fields.items()}
    models = {k: v for k, v in plain.items() if isinstance(v, type) and issubclass(v, Settings)}
    return {"": Config, **models}


@cache
def leaves() -> tuple[str, ...]:
    """Every path that can be set on the command line; of a method, its options."""
    fixed = [dotted(path, key) for path, model in sections().items() for key in model.model_fields]
    chosen = [
        dotted(path, key)
        for path in ("data", "moe.router", "moe.balance")
        for model in choices()[path].values()
        for key in model.model_fields
        if key != "name"
    ]
    return tuple(dict.fromkeys(path for path in fixed + chosen if not is_section(path)))


@cache
def grids() -> dict[str, list[Any]]:
    """What a sweep tries unless it is told: of every path that has such values, by its path."""
    fields: dict[str, Any] = {
        dotted(path, key): field.json_schema_extra
        for path, model in sections().items()
        for key, field in model.model_fields.items()
    }
    return {
        path: extra["grid"]
        for path, extra in fields.items()
        if isinstance(extra, dict) and "grid" in extra
    }


def is_section(path: str) -> bool:
    """Whether a path holds keys and never a value."""
    return path == "data" or (path != "" and path in sections())


def dotted(section: str, key: str) -> str:
    """The path of a key in a section; the root is the empty section."""
    return f"{section}.{key}" if section else key


def named(leaf: str) -> tuple[str, ...]:
    """The paths that a word can mean: itself if it is a path, else all that end in it."""
    paths = leaves()
    return (leaf,) if leaf in paths else tuple(p for p in paths if p.endswith(f".{leaf}"))


def settings(section: str, choice: str = "") -> type[Settings]:
    """The model of a section."""
    return choices()[section][choice] if section in choices() else sections()[section]


def meant(section: str, key: str, choice: str = "") -> str:
    """The remedy for a key that a section does not have."""
    here = list(settings(section, choice).model_fields)
    if owner := _owner(section, key):
        return f"'{key}' belongs to {owner}"
    if places := (key,) if is_section(key) else named(key):
        return _belongs(key, places)
    if near := similar(key, here):
        return f"did you mean '{near}'?"
    if far := similar(key, [path.rpartition(".")[2] for path in leaves()], cutoff=0.65):
        return "did you mean " + " or ".join(f"'{path}'" for path in named(far)) + "?"
    return f"keys here: {', '.join(here)}"


def _owner(section: str, key: str) -> str | None:
    """The other choice of a section that would have the key."""
    for choice, model in choices().get(section, {}).items():
        if key in model.model_fields:
            return f"{'source' if section == 'data' else 'name'}: {choice}"
    return None


def _belongs(key: str, places: Sequence[str]) -> str:
    if key in places:
        return f"'{key}' belongs at the top level"
    sections_of = " or ".join(f"'{path.rpartition('.')[0]}:'" for path in places)
    paths = " or ".join(f"'{path}'" for path in places)
    return f"'{key}' belongs under {sections_of} (write it as {paths})"


def similar(word: str, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant."""
    if (synonym := SYNONYMS.get(word)) in known:
        return synonym
    spelt = {_letters(name): name for name in known}
    close = get_close_matches(_letters(word), list(spelt), 1, cutoff)
    return spelt[close[0]] if close else None


def _letters(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
