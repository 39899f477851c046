"""Load-balancing loss of the Switch Transformer, for any k, over a sequence, a micro-batch or a whole step.

    loss = E * sum_i f_i * P_i        f_i = n_i / (k T), no gradient;  P_i = mean router probability

1 when balanced, for every k. It can read below 1, and near 1 at full collapse: its value is not a measure of balance.
The scope is the T tokens of f. `sequence`: the mean of each sequence's own loss, which reads E when every sequence
keeps to one expert, however balanced they are together. `micro_batch`: what one rank sees in one micro-batch. `batch`:
all micro-batches of the step on all ranks, so that the mean of the losses over both is the loss of one large batch, in
value and in gradient; of several micro-batches that takes a second forward pass. `global`: all ranks, and the
micro-batches of the step so far, which takes none: one micro-batch is as by `batch`, of several the first know less.

Source: Fedus et al. 2022, arXiv:2101.03961, eq. 4-6; scopes as in Qiu et al. 2025, arXiv:2501.11873 (`global`: f
synchronised over ranks, P of each, and a buffer of f over micro-batches), and DeepSeek-AI 2024, arXiv:2412.19437.
Deviations: f is divided by k, so that the balanced value does not depend on k.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from moe_lab.balancing.base import Balancer, Pools
from moe_lab.routing.base import Routing

POOLS: dict[str, Pools | None] = {
    "sequence": None,
    "micro_batch": None,
    "batch": "step",
    "global": "so_far",
}


class Switch(Balancer):
    """Dot product of load and mean probability."""

    balanced_loss = 1.0

    def __init__(self, *, scope: Literal["sequence", "micro_batch", "batch", "global"] = "batch"):
        super().__init__()
        self.scope, self.pools = scope, POOLS[scope]

    def loss(
        self, routing: Routing, pooled: Float[Tensor, "n E"] | None = None
    ) -> Float[Tensor, ""]:
        """E * f . P."""
        if self.scope == "sequence":
            return _sequence_loss(routing)
        load = routing.load() if pooled is None else pooled[0].to(routing.router_probs.dtype)
        return routing.n_experts * (load * routing.importance()).sum()

    def statistic(self, routing: Routing) -> Float[Tensor, "2 E"]:
        """f and P."""
        return torch.stack([routing.load(), routing.importance()])

    def step_loss(self, pooled: Float[Tensor, "2 E"]) -> Float[Tensor, ""]:
        """Of the mean f and the mean P."""
        return pooled.shape[1] * (pooled[0] * pooled[1]).sum()


def _sequence_loss(routing: Routing) -> Float[Tensor, ""]:
    """Mean over sequences of E * f_s . P_s."""
    shape = (routing.n_sequences, -1, routing.n_experts)
    importance = routing.router_probs.view(shape).mean(1)
    expert = routing.expert.view(routing.n_sequences, -1)
    load = torch.zeros_like(importance).scatter_add(
        1, expert, torch.ones_like(expert, dtype=importance.dtype)
    )
    return routing.n_experts * (load / expert.shape[1] * importance).sum(1).mean()
