"""One Mixture-of-Experts layer: route, drop over capacity, run the experts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from moe_lab.balancing.base import Balancer
from moe_lab.capacity import DropOrder, capacity
from moe_lab.dropping import drop_over_capacity
from moe_lab.experts import Experts
from moe_lab.feed_forward import FeedForward
from moe_lab.routing.base import Router, Routing
from moe_lab.streams import Stream

Pooled = Mapping[str, Float[Tensor, "_ E"]]  # by balancer, as of `Balancer.loss`
NOTHING: Pooled = MappingProxyType({})


@dataclass(frozen=True)
class CapacityFactors:
    """Slots per expert relative to a fair share (None: no limit), and who gets them."""

    training: float | None = None
    evaluation: float | None = None
    order: DropOrder = "position"


class MoELayer(nn.Module):
    """Stands in a block where a dense model has its feed-forward network.

    `balancers` are all that are measured; the `chosen` one alone may bias the choice of experts. `shared` is
    added to every token's output and never routed.
    """

    def __init__(
        self,
        router: Router,
        experts: Experts,
        balancers: Mapping[str, Balancer],
        chosen: str,
        limits: CapacityFactors,
        shared: FeedForward | None = None,
    ):
        super().__init__()
        self.router, self.experts, self.shared = router, experts, shared
        self.balancers, self.chosen = nn.ModuleDict(dict(balancers)), chosen
        self.limits = limits
        self._removed: int | None = None
        for balancer in self._balancers().values():
            balancer.allocate(len(router.weight))

    def forward(
        self, x: Float[Tensor, "B S D"], stream: Stream, labels: Int[Tensor, "B S"] | None = None
    ) -> tuple[Float[Tensor, "B S D"], Routing]:
        """The layer's output, and the record of what its router did; labels are for a router that reads them."""
        tokens = x.flatten(0, 1)
        bias = self._balancers()[self.chosen].selection_bias()
        routing = self.router(tokens, stream, bias, None if labels is None else labels.flatten())
        routing = replace(routing, hidden=tokens.detach(), n_sequences=len(x))
        factor = self.limits.training if self.training else self.limits.evaluation
        routing = self.drop(routing, factor, stream)
        if self._removed is not None:
            routing = replace(routing, kept=routing.kept & (routing.expert != self._removed))
        routing = self.router.weigh_kept(routing)
        output = self.experts(tokens, routing)
        if self.shared is not None:
            output = output + self.shared(tokens)
        return output.view_as(x), routing

    def drop(self, routing: Routing, factor: float | None, stream: Stream) -> Routing:
        """The record with what is over a capacity factor marked as dropped."""
        if factor is None:
            return routing
        slots = capacity(factor, routing.top_k, len(routing.router_probs), routing.n_experts)
        return drop_over_capacity(routing, slots, self.limits.order, stream)

    @contextmanager
    def without(self, expert: int) -> Iterator[None]:
        """While it lasts, what goes to one expert is dropped."""
        self._removed = expert
        try:
            yield
        finally:
            self._removed = None

    def balance_losses(
        self, routing: Routing, pooled: Pooled = NOTHING
    ) -> dict[str, Float[Tensor, ""]]:
        """The unweighted loss of every balancer that has one."""
        losses = {
            name: balancer.loss(routing, pooled.get(name))
            for name, balancer in self._balancers().items()
        }
        return {name: loss for name, loss in losses.items() if loss is not None}

    @property
    def pooling(self) -> dict[str, Balancer]:
        """The balancers whose loss is of more than one rank and micro-batch."""
        return {name: balancer for name, balancer in self._balancers().items() if balancer.pools}

    def after_step(self, counts: Int[Tensor, " E"]) -> None:
        """Tell every balancer the assignments of all tokens of an optimizer step."""
        for balancer in self._balancers().values():
            balancer.after_step(counts)

    def _balancers(self) -> dict[str, Balancer]:
        return cast(dict[str, Balancer], dict(self.balancers.items()))
