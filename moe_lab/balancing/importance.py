"""Squared coefficient of variation of the experts' importance.

    loss = CV(P)^2 = E * sum_i P_i^2 - 1        P_i = mean router probability, sum_i P_i = 1

0 when the mean probabilities are equal, which says nothing about the load. The population variance is meant.

Source: Shazeer et al. 2017, arXiv:1701.06538, eq. 6-7.
Deviations: P is the mean probability over all E experts, before the choice; the paper sums the gates after it.
"""

from jaxtyping import Float
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.routing.base import Routing


class Importance(Balancer):
    """CV squared of mean probabilities."""

    balanced_loss = 0.0

    def loss(self, routing: Routing) -> Float[Tensor, ""]:
        """Population variance / mean^2, from the deviations."""
        importance = routing.importance()
        return importance.var(correction=0) / importance.mean().square()
