"""One Mixture-of-Experts layer: route, drop over capacity, run the experts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from moe_lab.balancing.base import Balancer
from moe_lab.capacity import capacity
from moe_lab.experts import Experts
from moe_lab.routing.base import Router, Routing, drop_over_capacity
from moe_lab.streams import Stream


@dataclass(frozen=True)
class CapacityFactors:
    """Slots per expert relative to a fair share; None: no limit."""

    training: float | None = None
    evaluation: float | None = None


class MoELayer(nn.Module):
    """Stands in a block where a dense model has its feed-forward network.

    `balancers` are all that are measured; the `chosen` one alone may bias the choice of experts.
    """

    def __init__(
        self,
        router: Router,
        experts: Experts,
        balancers: Mapping[str, Balancer],
        chosen: str,
        limits: CapacityFactors,
    ):
        super().__init__()
        self.router, self.experts, self.limits = router, experts, limits
        self.balancers, self.chosen = nn.ModuleDict(dict(balancers)), chosen

    def forward(
        self, x: Float[Tensor, "B S D"], stream: Stream
    ) -> tuple[Float[Tensor, "B S D"], Routing]:
        """The layer's output, and the record of what its router did."""
        tokens = x.flatten(0, 1)
        routing = self.router(tokens, stream, self._balancers()[self.chosen].selection_bias())
        factor = self.limits.training if self.training else self.limits.evaluation
        if factor is not None:
            slots = capacity(factor, routing.top_k, len(tokens), routing.n_experts)
            routing = drop_over_capacity(routing, slots)
        return self.experts(tokens, routing).view_as(x), routing

    def balance_losses(self, routing: Routing) -> dict[str, Float[Tensor, ""]]:
        """The unweighted loss of every balancer that has one."""
        losses = {name: balancer.loss(routing) for name, balancer in self._balancers().items()}
        return {name: loss for name, loss in losses.items() if loss is not None}

    def after_step(self, counts: Int[Tensor, " E"]) -> None:
        """Tell every balancer the assignments of all tokens of an optimizer step."""
        for balancer in self._balancers().values():
            balancer.after_step(counts)

    def _balancers(self) -> dict[str, Balancer]:
        return cast(dict[str, Balancer], dict(self.balancers.items()))
