"""Load-balancing loss of the Switch Transformer, for any k, over a sequence, a micro-batch or a whole step.

    loss = E * sum_i f_i * P_i        f_i = n_i / (k T), no gradient;  P_i = mean router probability

1 when balanced, for every k. It can read below 1, and near 1 at full collapse: its value is not a measure of balance.
The scope is the T tokens of f and P. `sequence`: the mean of each sequence's own loss, which reads E when every
sequence keeps to one expert, however balanced they are together. `batch`: f of all micro-batches of the step, so that
the mean of the losses over micro-batches is the loss of one large batch, in value and in gradient.

Source: Fedus et al. 2022, arXiv:2101.03961, eq. 4-6; scopes as in Qiu et al. 2025, arXiv:2501.11873, and
DeepSeek-AI 2024, arXiv:2412.19437.
Deviations: f is divided by k, so that the balanced value does not depend on k.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.routing.base import Routing


class Switch(Balancer):
    """Dot product of load and mean probability."""

    balanced_loss = 1.0

    def __init__(self, *, scope: Literal["sequence", "micro_batch", "batch"] = "batch"):
        super().__init__()
        self.scope = scope
        self.needs_step = scope == "batch"
        self._step_load: Tensor | None = None

    def loss(self, routing: Routing) -> Float[Tensor, ""]:
        """E * f . P."""
        if self.scope == "sequence":
            return _sequence_loss(routing)
        load = routing.load() if self._step_load is None else self._step_load
        return routing.n_experts * (load * routing.importance()).sum()

    def before_step(self, routings: Sequence[Routing]) -> None:
        """Keep the load of the whole step until it is over."""
        if self.needs_step:
            counts = torch.stack([routing.counts() for routing in routings]).sum(0)
            self._step_load = counts.float() / counts.sum()

    def after_step(self, counts: Int[Tensor, " E"]) -> None:
        """The next losses are of their own batch again."""
        self._step_load = None


def _sequence_loss(routing: Routing) -> Float[Tensor, ""]:
    """Mean over sequences of E * f_s . P_s."""
    shape = (routing.n_sequences, -1, routing.n_experts)
    importance = routing.router_probs.view(shape).mean(1)
    expert = routing.expert.view(routing.n_sequences, -1)
    load = torch.zeros_like(importance).scatter_add(
        1, expert, torch.ones_like(expert, dtype=importance.dtype)
    )
    return routing.n_experts * (load / expert.shape[1] * importance).sum(1).mean()
