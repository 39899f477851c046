"""Load-balancing loss of the Switch Transformer, for any k.

    loss = E * sum_i f_i * P_i        f_i = n_i / (k T), no gradient;  P_i = mean router probability

1 when balanced, for every k. It can read below 1, and near 1 at full collapse: its value is not a measure of balance.

Source: Fedus et al. 2022, arXiv:2101.03961, eq. 4-6.
Deviations: f is divided by k, so that the balanced value does not depend on k.
"""

from jaxtyping import Float
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.routing.base import Routing


class Switch(Balancer):
    """Dot product of load and mean probability."""

    balanced_loss = 1.0

    def loss(self, routing: Routing) -> Float[Tensor, ""]:
        """E * f . P."""
        return routing.n_experts * (routing.load() * routing.importance()).sum()
