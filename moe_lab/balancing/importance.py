"""Squared coefficient of variation of the experts' importance.

    loss = CV(I)^2 = population variance / mean^2 over experts of I_i

0 when all experts are equally important, which says nothing about the load. Of `probabilities`: I_i = P_i, the mean
router probability over all E experts, which reaches also those that get no token. Of `gates`: I_i = the sum of the
gates of the tokens that chose i, as published; an expert that nobody chose has none, and gets no gradient.

Over several micro-batches I is the whole step's: each takes the loss expanded to first order at the step's mean, so
that the mean over micro-batches is the loss of one large batch, in value and in gradient.

Source: Shazeer et al. 2017, arXiv:1701.06538, eq. 6-7.
Deviations: the default is over probabilities before the choice; gates are those of the clean logits.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.routing.base import Routing


class Importance(Balancer):
    """CV squared of mean probabilities, or of summed gates."""

    balanced_loss = 0.0
    needs_step = True

    def __init__(self, *, of: Literal["probabilities", "gates"] = "probabilities"):
        super().__init__()
        self.of = of
        self._step_mean: Tensor | None = None

    def loss(self, routing: Routing) -> Float[Tensor, ""]:
        """Population variance / mean^2, from the deviations."""
        found = self._importance(routing)
        if self._step_mean is None:
            return found.var(correction=0) / found.mean().square()
        return _share_of_step(found, self._step_mean)

    def before_step(self, routings: Sequence[Routing]) -> None:
        """Keep the importance of the whole step until it is over."""
        self._step_mean = torch.stack([self._importance(r) for r in routings]).mean(0)

    def after_step(self, counts: Int[Tensor, " E"]) -> None:
        """The next losses are of their own batch again."""
        self._step_mean = None

    def _importance(self, routing: Routing) -> Float[Tensor, " E"]:
        if self.of == "probabilities":
            return routing.importance()
        nothing = routing.gate.new_zeros(routing.n_experts)
        return nothing.index_add(0, routing.expert, routing.gate)


def _share_of_step(found: Float[Tensor, " E"], mean: Float[Tensor, " E"]) -> Float[Tensor, ""]:
    """CV(mean)^2 + its gradient . (found - mean)."""
    n_experts, total, squares = len(mean), mean.sum(), mean.square().sum()
    value = n_experts * squares / total**2 - 1
    slope = 2 * n_experts * (mean - squares / total) / total**2
    return value + (slope * (found - mean)).sum()
