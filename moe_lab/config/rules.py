"""What ranges cannot say: settings that contradict each other, and what deserves a warning."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

from moe_lab.capacity import capacity
from moe_lab.config.schema import Config, Data, Domains, Model, Moe

LARGEST_TABLE = (
    2**25
)  # entries of (domain, token, next token): 0.3 GB, and several times that while built
ALIGNMENT = 8  # widths of the grouped matrix product: 16 bytes of bfloat16


@dataclass(frozen=True)
class Finding:
    """A contradiction: the keys that could change, the first that was written is pointed at."""

    keys: tuple[str, ...]
    message: str
    help: str | None = None
    also: str = ""  # the key that the help ends with; its line is added


def refusals(config: Config) -> Iterator[Finding]:
    """Every contradiction, with its reason."""
    yield from _router(config.moe)
    yield from _balancers(config.moe)
    yield from _widths(config.model)
    yield from _blocks(config.model)
    yield from _tables(config.data)
    seq_len, tokens = config.data.seq_len, config.eval.tokens
    if tokens < seq_len:
        yield Finding(
            ("eval.tokens", "data.seq_len"),
            f"'eval.tokens' ({tokens}) is less than one sequence: 'data.seq_len' is {seq_len}",
            f"use eval.tokens >= {seq_len}",
        )


def _router(moe: Moe) -> Iterator[Finding]:
    if moe.top_k > moe.n_experts:
        yield Finding(
            ("moe.top_k", "moe.n_experts"),
            f"'moe.top_k' ({moe.top_k}) must not exceed 'moe.n_experts' ({moe.n_experts})",
            f"use top_k <= {moe.n_experts}, or raise n_experts",
            also="moe.n_experts",
        )
    if moe.top_k == 1 and moe.router.options.get("renormalize"):
        yield Finding(
            ("moe.router.renormalize", "moe.router", "moe.top_k"),
            "with top_k 1 a renormalised gate is always 1: the task gives the router no gradient",
            "use renormalize: false, or top_k >= 2",
        )
    if moe.init_std == moe.init_tilt == moe.noise == 0:
        yield Finding(
            ("moe.init_std", "moe.noise", "moe.init_tilt"),
            "a router that starts at zero, without noise, ties on every token",
            "set init_std or noise above 0",
        )


def _balancers(moe: Moe) -> Iterator[Finding]:
    used = [moe.balance.name]
    for index, balancer in enumerate(moe.extra):
        if balancer.name in used:
            yield Finding(
                (f"moe.extra.{index}.name", f"moe.extra.{index}"),
                f"the balancer '{balancer.name}' is used twice",
                "each balancer once: in 'balance', weighed by alpha, or in 'extra'",
            )
        used.append(balancer.name)


def _widths(model: Model) -> Iterator[Finding]:
    width, heads = model.d_model, model.n_heads
    keys = ("model.d_model", "model.n_heads")
    if width % heads:
        yield Finding(
            keys, f"'model.d_model' ({width}) is not a multiple of 'model.n_heads' ({heads})"
        )
    elif width // heads % 2:
        yield Finding(
            keys,
            f"a head is d_model / n_heads = {width // heads} wide: rotary positions need pairs",
        )
    for key, size in (("model.d_model", width), ("model.d_expert", model.d_expert)):
        if size % ALIGNMENT:
            yield Finding(
                (key,),
                f"'{key}' ({size}) is not a multiple of {ALIGNMENT}, as the grouped product needs",
                f"use {math.ceil(size / ALIGNMENT) * ALIGNMENT}",
            )


def _blocks(model: Model) -> Iterator[Finding]:
    indices = () if model.moe_layers == "all" else model.moe_layers
    if beyond := [index for index in indices if index >= model.n_layers]:
        yield Finding(
            ("model.moe_layers", "model.n_layers"),
            f"'model.moe_layers' names block {beyond[0]}, but 'model.n_layers' is {model.n_layers}",
            f"blocks are counted from 0 to {model.n_layers - 1}",
        )


def _tables(data: Data) -> Iterator[Finding]:
    if not isinstance(data, Domains):
        return
    entries = data.n_domains * data.vocab_size**2
    if entries > LARGEST_TABLE:
        largest = math.isqrt(LARGEST_TABLE // data.n_domains)
        yield Finding(
            ("data.vocab_size", "data.n_domains"),
            f"'data.vocab_size' ({data.vocab_size}) needs {entries * 8 / 1e9:.1f} GB "
            f"for the laws of {data.n_domains} domains",
            f"use vocab_size <= {largest}, or fewer domains",
        )


def warnings(config: Config) -> Iterator[Finding]:
    """What may surprise: it is done as asked, or nearly."""
    train, cores = config.train, os.cpu_count() or 1
    if train.warmup > train.steps:
        yield Finding(
            ("train.warmup", "train.steps"),
            f"'train.warmup' ({train.warmup}) is longer than 'train.steps' ({train.steps}): "
            "the learning rate never reaches lr",
        )
    if train.threads > cores:
        yield Finding(
            ("train.threads",),
            f"'train.threads' ({train.threads}) exceeds the {cores} CPU cores of this machine",
        )
    yield from _rounded_capacity(config)


def _rounded_capacity(config: Config) -> Iterator[Finding]:
    moe, factor = config.moe, config.moe.capacity_factor
    if factor is None:
        return
    tokens = config.train.batch_size * config.data.seq_len
    fair = moe.top_k * tokens / moe.n_experts
    slots = capacity(factor, moe.top_k, tokens, moe.n_experts)
    if slots / fair > 1.1 * factor:
        yield Finding(
            ("moe.capacity_factor",),
            f"'moe.capacity_factor' ({factor:g}) is rounded up: with {slots} per expert "
            f"it is in effect {slots / fair:.3g}",
            "larger batches are rounded less",
        )
