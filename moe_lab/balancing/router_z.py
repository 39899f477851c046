"""Router z-loss: keeps router logits small; it does not balance.

    loss = mean over tokens of (log sum_j exp z_j)^2        z = clean router logits

Source: Zoph et al. 2022 (ST-MoE), arXiv:2202.08906, eq. 5.
Deviations: none.
"""

from jaxtyping import Float
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.routing.base import Routing


class RouterZ(Balancer):
    """Mean squared log-sum-exp of the logits."""

    balanced_loss = None

    def loss(
        self, routing: Routing, pooled: Float[Tensor, "n E"] | None = None
    ) -> Float[Tensor, ""]:
        """Mean of squared logsumexp."""
        return routing.router_logits.logsumexp(-1).square().mean()
