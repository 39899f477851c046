"""The record of what a router did, and the router's interface.

Letters in shapes: B sequences, S tokens each, T = B * S tokens, D model width, E experts, k experts per token,
A = k * T assignments.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lab.choosing import largest
from moe_lab.streams import Stream

Reads = Literal["tokens", "domains", "map_domains"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Routing:
    """Which tokens went to which experts, in one layer, for one batch. Assignments are token-major:
    those of token t are t*k … t*k + k-1.
    """

    router_logits: Float[Tensor, "T E"]  # float32, without noise
    router_probs: Float[Tensor, "T E"]
    token: Int[Tensor, " A"]
    expert: Int[Tensor, " A"]
    gate: Float[Tensor, " A"]  # weight of the expert's output; from clean logits but in noisy_top_k
    kept: Bool[Tensor, " A"]  # False: over capacity, dropped
    ties: Int[Tensor, ""]  # tokens whose choice was decided by a keyed draw
    hidden: Float[Tensor, "T D"] | None = None  # what the router read, without gradient
    n_sequences: int = 1  # B; the tokens of one sequence are adjacent

    @property
    def n_experts(self) -> int:
        """E."""
        return self.router_probs.shape[1]

    @property
    def top_k(self) -> int:
        """k, experts per token."""
        return len(self.token) // len(self.router_probs)

    def counts(self) -> Int[Tensor, " E"]:
        """n_i: assignments per expert, before capacity."""
        return torch.bincount(self.expert, minlength=self.n_experts)

    def kept_counts(self) -> Int[Tensor, " E"]:
        """Assignments per expert, after capacity."""
        nothing = torch.zeros(self.n_experts, dtype=torch.int64, device=self.expert.device)
        return nothing.index_add(0, self.expert, self.kept.long())

    def load(self) -> Float[Tensor, " E"]:
        """f: share of assignments per expert, before capacity; sums to 1 for every k; no gradient."""
        return self.counts().float() / len(self.expert)

    def importance(self) -> Float[Tensor, " E"]:
        """P: mean router probability per expert; sums to 1; differentiable."""
        return self.router_probs.mean(0)

    def dropped(self) -> Int[Tensor, ""]:
        """Assignments over capacity."""
        return (~self.kept).sum()

    def entropy(self) -> Float[Tensor, " T"]:
        """Entropy of each token's router probabilities, in nats."""
        p = self.router_probs  # special.entr has no vector code on the CPU: seven times slower
        return -(p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum(-1)

    def margin(self) -> Float[Tensor, " T"] | None:
        """Distance of the k-th and the (k+1)-th largest clean logit of each token; None if k = E."""
        if self.top_k == self.n_experts:
            return None
        return largest(self.router_logits, self.top_k)[1]


class Router(nn.Module):
    """A linear map to one logit per expert, in float32 unless asked otherwise, and a way to choose by it.

    The bias exists only where a tilt installs an imbalance. Initial values are set with the whole model's.
    """

    ignores_noise = False  # True: `noise` does not act on this router's choice
    always_renormalizes = False  # True: the gates of a token sum to 1 without being asked to
    reads: Reads | None = None  # what `forward` is given as labels
    learns = True  # False: no gradient of the task reaches the weights

    def __init__(
        self,
        d_model: int,
        n_experts: int,
        top_k: int,
        *,
        biased: bool = False,
        precision: Precision = "float32",
    ):
        super().__init__()
        self.top_k, self.precision = top_k, precision
        self.weight = nn.Parameter(torch.empty(n_experts, d_model))
        self.bias = nn.Parameter(torch.empty(n_experts)) if biased else None

    def logits(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T E"]:
        """Router logits as float32; the product is in the router's precision, whatever autocast says."""
        dtype = getattr(torch, self.precision)
        bias = None if self.bias is None else self.bias.to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(dtype), self.weight.to(dtype), bias).float()

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "T D"],
        stream: Stream,
        selection_bias: Float[Tensor, " E"] | None = None,
        labels: Int[Tensor, " T"] | None = None,
    ) -> Routing:
        """Route T tokens, nothing dropped yet. selection_bias picks experts and never weighs them.

        labels are what `reads` names, for a router that is told more than x; others ignore them.
        """

    def weigh_kept(self, routing: Routing) -> Routing:
        """The record with the gates that hold after dropping; the same unless a router says otherwise."""
        return routing


def routed(
    logits: Float[Tensor, "T E"],
    probs: Float[Tensor, "T E"],
    chosen: Int[Tensor, "T k"],
    gates: Float[Tensor, "T k"],
    ties: Int[Tensor, ""],
) -> Routing:
    """The record of a choice of k experts per token, nothing dropped."""
    n_tokens, top_k = chosen.shape
    tokens = torch.arange(n_tokens, device=chosen.device).repeat_interleave(top_k)
    kept = torch.ones_like(tokens, dtype=torch.bool)
    return Routing(logits, probs, tokens, chosen.flatten(), gates.flatten(), kept, ties)


def normalized(gates: Float[Tensor, "T n"]) -> Float[Tensor, "T n"]:
    """Each row over its sum; a row of zeros stays one, and has finite gradients."""
    return gates / gates.sum(-1, keepdim=True).clamp_min(torch.finfo(gates.dtype).tiny)
