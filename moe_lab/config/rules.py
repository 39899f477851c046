"""What ranges cannot say: settings that contradict each other, and what deserves a warning."""

import math
import os
from collections.abc import Iterator

from moe_lab.capacity import capacity
from moe_lab.config.data_rules import data_refusals, data_warnings
from moe_lab.config.findings import Finding
from moe_lab.config.router_rules import router_refusals, router_warnings
from moe_lab.config.schema import Config, Model, Moe
from moe_lab.config.size_rules import size_refusals
from moe_lab.registry import BALANCERS

ALIGNMENT = 8  # widths of the grouped matrix product: 16 bytes of bfloat16


def refusals(config: Config) -> Iterator[Finding]:
    """Every contradiction, with its reason."""
    yield from router_refusals(config)
    yield from _balancers(config.moe)
    yield from _widths(config.model)
    yield from _blocks(config.model)
    yield from data_refusals(config)
    yield from size_refusals(config)
    seq_len, tokens = config.data.seq_len, config.eval.tokens
    if tokens < seq_len:
        yield Finding(
            ("eval.tokens", "data.seq_len"),
            f"'eval.tokens' ({tokens}) is less than one sequence: 'data.seq_len' is {seq_len}",
            f"use eval.tokens >= {seq_len}",
        )


def _balancers(moe: Moe) -> Iterator[Finding]:
    used = [moe.balance.name]
    for index, balancer in enumerate(moe.extra):
        if BALANCERS.fact(balancer.name, "has_loss") is False:
            yield Finding(
                (f"moe.extra.{index}.name", f"moe.extra.{index}"),
                f"the balancer '{balancer.name}' has no loss that a weight could multiply",
                f"use it as 'balance: {balancer.name}'",
            )
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
    multiple = math.lcm(ALIGNMENT, 2 * heads)
    remedy = f"use d_model {math.ceil(width / multiple) * multiple}, or another n_heads"
    if width % heads:
        message = f"'model.d_model' ({width}) is not a multiple of 'model.n_heads' ({heads})"
        yield Finding(keys, message, remedy)
    elif width // heads % 2:
        message = (
            f"a head is d_model / n_heads = {width // heads} wide: rotary positions need pairs"
        )
        yield Finding(keys, message, remedy)
    for key, size in (("model.d_model", width), ("model.d_expert", model.d_expert)):
        if size % ALIGNMENT:
            yield Finding(
                (key,),
                f"'{key}' ({size}) is not a multiple of {ALIGNMENT}, as the grouped product needs",
                f"use {math.ceil(size / ALIGNMENT) * ALIGNMENT}",
            )


def _blocks(model: Model) -> Iterator[Finding]:
    indices = () if isinstance(model.moe_layers, str) else model.moe_layers
    if beyond := [index for index in indices if index >= model.n_layers]:
        yield Finding(
            ("model.moe_layers", "model.n_layers"),
            f"'model.moe_layers' names block {beyond[0]}, but 'model.n_layers' is {model.n_layers}",
            f"blocks are counted from 0 to {model.n_layers - 1}",
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
    if train.router_lr_factor == 0 and config.moe.alpha and config.model.moe_layers != "none":
        yield Finding(
            ("train.router_lr_factor", "moe.alpha"),
            "with 'train.router_lr_factor' 0 the routers are frozen: the balance loss changes nothing in them",
        )
    if config.checkpoint.keep == 1:
        yield Finding(
            ("checkpoint.keep",),
            "'checkpoint.keep' (1) leaves nothing to go back to if the newest checkpoint is damaged",
            "use keep >= 2",
        )
    yield from _rounded_capacity(config)
    yield from router_warnings(config)
    yield from data_warnings(config)


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
