"""What a balancer may do: add a loss, bias the choice of experts, learn from the load after a step."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from moe_lab.routing.base import Routing


class Balancer(nn.Module):
    """One way to keep experts in use, one instance per MoE layer; state goes in buffers. Every hook may stay."""

    has_loss = True  # False: nothing to weigh; it acts on the choice of experts alone
    balanced_loss: float | None = (
        None  # the loss when all experts are used equally; None: not defined by balance
    )
    needs_step = False  # whether `before_step` must be called when a step has several micro-batches

    def allocate(self, n_experts: int) -> None:
        """Called once, when the layer is built: make the buffers that hold a value per expert."""

    def loss(self, routing: Routing) -> Float[Tensor, ""] | None:
        """The unweighted loss of one layer; None for a balancer that has none."""
        return None

    def selection_bias(self) -> Float[Tensor, " E"] | None:
        """Added to what experts are picked by, never to the gates."""
        return None

    def before_step(self, routings: Sequence[Routing]) -> None:
        """Called with the records of all micro-batches of a step, without gradient, before the first loss."""

    def after_step(self, counts: Int[Tensor, " E"]) -> None:
        """Called once per optimizer step with the assignments of all its tokens."""
