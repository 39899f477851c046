"""Squared coefficient of variation of the experts' importance.

    loss = CV(I)^2 = population variance / mean^2 over experts of I_i

0 when all experts are equally important, which says nothing about the load. Of `probabilities`: I_i = P_i, the mean
router probability over all E experts, which reaches also those that get no token. Of `gates`: I_i = the sum of the
gates of the tokens that chose i, as published; an expert that nobody chose has none, and gets no gradient.

Over several micro-batches or ranks I is the whole step's, per token: each takes the loss expanded to first order at the
step's mean, so that the mean over them is the loss of one large batch, in value and in gradient.

Source: Shazeer et al. 2017, arXiv:1701.06538, eq. 6-7.
Deviations: the default is over probabilities before the choice; gates are those of the clean logits.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.routing.base import Routing


class Importance(Balancer):
    """CV squared of mean probabilities, or of summed gates."""

    balanced_loss = 0.0
    pools = "step"

    def __init__(self, *, of: Literal["probabilities", "gates"] = "probabilities"):
        super().__init__()
        self.of = of

    def loss(
        self, routing: Routing, pooled: Float[Tensor, "n E"] | None = None
    ) -> Float[Tensor, ""]:
        """Population variance / mean^2, from the deviations."""
        if pooled is None:
            return _squared_cv(self._importance(routing))
        mean, total = pooled[0], pooled[0].sum()
        slope = 2 * len(mean) * (mean - mean.square().sum() / total) / total**2
        beyond = (slope * (self.statistic(routing)[0] - mean)).sum()
        return (self.step_loss(pooled) + beyond).to(routing.router_probs.dtype)

    def statistic(self, routing: Routing) -> Float[Tensor, "1 E"]:
        """Importance per token: ranks may have unlike numbers of them."""
        tokens = len(routing.router_probs) if self.of == "gates" else 1
        return self._importance(routing)[None] / tokens

    def step_loss(self, pooled: Float[Tensor, "1 E"]) -> Float[Tensor, ""]:
        """Of the mean importance."""
        return _squared_cv(pooled[0])

    def _importance(self, routing: Routing) -> Float[Tensor, " E"]:
        if self.of == "probabilities":
            return routing.importance()
        nothing = routing.gate.new_zeros(routing.n_experts)
        return nothing.index_add(0, routing.expert, routing.gate)


def _squared_cv(importance: Float[Tensor, " E"]) -> Float[Tensor, ""]:
    return importance.var(correction=0) / importance.mean().square()
