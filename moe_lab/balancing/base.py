"""What a balancer may do: add a loss, bias the choice of experts, learn from the load after a step."""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from moe_lab.routing.base import Routing

Pools = Literal["so_far", "step"]


class Balancer(nn.Module):
    """One way to keep experts in use, one instance per MoE layer; state goes in buffers. Every hook may stay.

    A loss that `pools` is of more tokens than one rank sees in one micro-batch: it is given the mean of its `statistic`
    over all ranks and over the micro-batches of the step `so_far`, or over all of the `step`.
    """

    has_loss = True  # False: nothing to weigh; it acts on the choice of experts alone
    balanced_loss: float | None = (
        None  # the loss when all experts are used equally; None: not defined by balance
    )
    pools: Pools | None = None  # None: its loss is of its own batch

    def allocate(self, n_experts: int) -> None:
        """Called once, when the layer is built: make the buffers that hold a value per expert."""

    def loss(
        self, routing: Routing, pooled: Float[Tensor, "n E"] | None = None
    ) -> Float[Tensor, ""] | None:
        """The unweighted loss of one layer; None for a balancer that has none.

        The mean over batches, by their tokens, is the loss of the whole scope. pooled: None if that is one batch.
        """
        return None

    def statistic(self, routing: Routing) -> Float[Tensor, "n E"]:
        """Means over the tokens of a batch that its loss needs over its scope. Called where it `pools`."""
        raise NotImplementedError

    def step_loss(self, pooled: Float[Tensor, "n E"]) -> Float[Tensor, ""]:
        """The value of the loss of a whole step, from its statistic alone. Called where it pools the step."""
        raise NotImplementedError

    def selection_bias(self) -> Float[Tensor, " E"] | None:
        """Added to what experts are picked by, never to the gates."""
        return None

    def after_step(self, counts: Int[Tensor, " E"]) -> None:
        """Called once per optimizer step with the assignments of all its tokens."""
