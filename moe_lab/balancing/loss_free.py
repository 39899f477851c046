"""Loss-free balancing: a bias on what experts are picked by, raised for those with too few tokens.

    b_i' = b_i + speed * sign(mean n - n_i)        or, proportional, b_i + speed * (1 - n_i / mean n)

The bias picks experts and never weighs them, and no gradient passes through it. It moves once per optimizer step, by
the assignments of all tokens of that step: choices are made with the bias of the steps before. It is an integral
controller: the bias of an expert that stays empty grows without bound, and `sign` ends in a cycle of +- speed.

Source: Wang et al. 2024, arXiv:2408.15664, algorithm 1 (sign) and table 3 (proportional to the violation).
Deviations: the violation of `proportional` is relative to the mean count, so that speed does not depend on batch size.
"""

from typing import Annotated, Literal

import torch
from annotated_types import Gt, Le
from jaxtyping import Float, Int
from torch import Tensor

from moe_lab.balancing.base import Balancer


class LossFree(Balancer):
    """An expert-wise bias, moved against the load."""

    has_loss = False
    bias: Tensor

    def __init__(
        self,
        *,
        speed: Annotated[float, Gt(0), Le(1)] = 0.001,
        rule: Literal["sign", "proportional"] = "sign",
    ):
        super().__init__()
        self.speed, self.rule = speed, rule

    def allocate(self, n_experts: int) -> None:
        """One bias per expert, at zero."""
        self.register_buffer("bias", torch.zeros(n_experts))

    def selection_bias(self) -> Float[Tensor, " E"]:
        """The bias as the steps before left it."""
        return self.bias

    def after_step(self, counts: Int[Tensor, " E"]) -> None:
        """Move the bias by one step's assignments."""
        n = counts.to(self.bias)
        missing = 1 - n / n.mean()
        self.bias += self.speed * (missing.sign() if self.rule == "sign" else missing)
