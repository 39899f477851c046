"""E small feed-forward networks, computed as one grouped matrix product.

Assignments are sorted by expert; each expert multiplies its own stretch of rows, so cost follows the assignments and
neither E nor how unevenly they fall. Nothing is padded. A token's outputs, and the gradients that come back to it, are
added in the order of its experts; on CUDA that takes torch.use_deterministic_algorithms.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lab.feed_forward import ACTIVATIONS, Activation
from moe_lab.routing.base import Routing


class Experts(nn.Module):
    """w_out[e] @ a(w_in[e] @ x) for E experts of hidden width F."""

    def __init__(
        self,
        n_experts: int,
        d_model: int,
        d_expert: int,
        activation: Activation = ACTIVATIONS["gelu"],
    ):
        super().__init__()
        self.activation = activation
        self.w_in = nn.Parameter(torch.empty(n_experts, d_model, activation.inputs * d_expert))
        self.w_out = nn.Parameter(torch.empty(n_experts, d_expert, d_model))

    def forward(self, x: Float[Tensor, "T D"], routing: Routing) -> Float[Tensor, "T D"]:
        """Sum over each token's kept assignments of gate * expert output; zero for a token that lost all."""
        rows, ends = grouped(routing)
        tokens = routing.token.index_select(0, rows)
        hidden = grouped_product(x.index_select(0, tokens), self.w_in, ends)
        outputs = grouped_product(self.activation.apply(hidden), self.w_out, ends)
        weighted = outputs * routing.gate.index_select(0, rows)[:, None].to(outputs)
        return weighted.new_zeros(x.shape).index_add(0, tokens, weighted)

    def everywhere(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "E N D"]:
        """What each expert would make of each token; for measurements, since it costs E passes."""
        return self.activation.apply(x @ self.w_in) @ self.w_out


def grouped_product(
    x: Float[Tensor, "K D"], weights: Float[Tensor, "E D F"], ends: Int[Tensor, " E"]
) -> Float[Tensor, "K F"]:
    """Each expert's stretch of rows times its matrix. Widths must be multiples of 4 in float32."""
    if x.device.type == "cpu" or x.dtype == torch.bfloat16:
        return F.grouped_mm(x, weights, offs=ends)
    return looped_product(x, weights, ends)  # torch documents no float32 kernel for CUDA


def looped_product(
    x: Float[Tensor, "K D"], weights: Float[Tensor, "E D F"], ends: Int[Tensor, " E"]
) -> Float[Tensor, "K F"]:
    """The same by one product per expert; unbind, since indexing would fill E gradients of full size."""
    stretches = x.tensor_split(ends[:-1].cpu().long())
    return torch.cat([part @ w for part, w in zip(stretches, weights.unbind(), strict=True)])


def grouped(routing: Routing) -> tuple[Int[Tensor, " K"], Int[Tensor, " E"]]:
    """The K kept assignments in order of expert, and where each expert's stretch ends (int32)."""
    order = torch.argsort(routing.expert, stable=True)
    kept = routing.kept[order]
    rows = order[kept]
    counts = torch.bincount(routing.expert[rows], minlength=routing.n_experts)
    return rows, counts.cumsum(0).to(torch.int32)
