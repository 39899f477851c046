"""A dense feed-forward network and its activations, which experts share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Activation:
    """What stands between the two matrices; a gated one reads two inputs for each hidden unit."""

    apply: Callable[[Tensor], Tensor]
    inputs: int = 1


def _swiglu(x: Float[Tensor, "*any G"]) -> Float[Tensor, "*any F"]:
    """silu(first half) * second half (Shazeer 2020, arXiv:2002.05202, eq. 6)."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "gelu": Activation(F.gelu),  # the exact (erf) one: on CPU it is the faster
        "relu": Activation(F.relu),
        "silu": Activation(F.silu),
        "swiglu": Activation(_swiglu, inputs=2),
    }
)


class FeedForward(nn.Module):
    """w_out a(w_in x), of a given hidden width."""

    def __init__(self, d_model: int, width: int, activation: Activation):
        super().__init__()
        self.activation = activation
        self.w_in = nn.Parameter(torch.empty(activation.inputs * width, d_model))
        self.w_out = nn.Parameter(torch.empty(d_model, width))

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any D"]:
        """Each vector of width D by itself."""
        return F.linear(self.activation.apply(F.linear(x, self.w_in)), self.w_out)
