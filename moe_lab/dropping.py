"""Who keeps a slot when an expert has more assignments than slots. Letters as in routing/base.py."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from moe_lab.capacity import DropOrder
from moe_lab.routing.base import Routing
from moe_lab.streams import Stream


def drop_over_capacity(
    routing: Routing, slots: int, drop_order: DropOrder, stream: Stream
) -> Routing:
    """Keep of each expert the `slots` assignments that are first in the queue of the drop order."""
    queue = QUEUES[drop_order](routing, stream)
    order = queue[torch.argsort(routing.expert[queue], stable=True)]
    counts = routing.counts()
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(order), device=order.device) - starts[routing.expert[order]]
    kept = torch.empty_like(routing.kept).index_copy_(0, order, rank < slots)
    return replace(routing, kept=kept)


def _by_position(routing: Routing, stream: Stream) -> Int[Tensor, " A"]:
    """The earlier token first."""
    return torch.arange(len(routing.token), device=routing.token.device)


def _by_probability(routing: Routing, stream: Stream) -> Int[Tensor, " A"]:
    """The larger gate first; of equal ones, the earlier token."""
    return torch.argsort(routing.gate.detach(), descending=True, stable=True)


def _at_random(routing: Routing, stream: Stream) -> Int[Tensor, " A"]:
    """Every order of the assignments equally likely."""
    order = stream.permutation("drop_order", len(routing.router_probs), routing.top_k)
    return torch.from_numpy(order).to(routing.token.device)


def _by_batch_priority(routing: Routing, stream: Stream) -> Int[Tensor, " A"]:
    """All first choices before any second one; within them the token of larger largest probability first.

    A token's first choice is that of its largest gate (Riquelme et al. 2021, arXiv:2106.05974, algorithm 2).
    """
    surest = routing.router_probs.detach().amax(-1).argsort(descending=True, stable=True)
    gates = routing.gate.detach().view(-1, routing.top_k)
    choices = gates.argsort(dim=-1, descending=True, stable=True)
    return (surest[:, None] * routing.top_k + choices[surest]).T.flatten()


QUEUES: dict[DropOrder, Callable[[Routing, Stream], Int[Tensor, " A"]]] = {
    "position": _by_position,
    "probability": _by_probability,
    "random": _at_random,
    "batch_priority": _by_batch_priority,
}
