"""The record of what a router did, the router's interface, and dropping.

Letters in shapes: B sequences, S tokens each, T = B * S tokens, D model width, E experts, k experts per token,
A = k * T assignments.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lab.streams import Stream


@dataclass(frozen=True)
class Routing:
    """Which tokens went to which experts, in one layer, for one batch. Assignments are token-major:
    those of token t are t*k … t*k + k-1.
    """

    router_logits: Float[Tensor, "T E"]  # float32, without noise
    router_probs: Float[Tensor, "T E"]
    token: Int[Tensor, " A"]
    expert: Int[Tensor, " A"]
    gate: Float[Tensor, " A"]  # weight of the expert's output; from clean logits
    kept: Bool[Tensor, " A"]  # False: over capacity, dropped
    ties: Int[Tensor, ""]  # tokens whose choice was decided by a keyed draw

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
        terms: Tensor = torch.special.entr(self.router_probs)
        return terms.sum(-1)

    def margin(self) -> Float[Tensor, " T"] | None:
        """Distance of the k-th and the (k+1)-th largest clean logit of each token; None if k = E."""
        if self.top_k == self.n_experts:
            return None
        largest = self.router_logits.topk(self.top_k + 1, dim=-1).values
        return largest[:, -2] - largest[:, -1]


class Router(nn.Module):
    """A linear map to one logit per expert, in float32, and a way to choose by it.

    The bias exists only where a tilt installs an imbalance. Initial values are set with the whole model's.
    """

    def __init__(
        self, d_model: int, n_experts: int, top_k: int, *, noise: float = 0.0, biased: bool = False
    ):
        super().__init__()
        self.top_k, self.noise = top_k, noise
        self.weight = nn.Parameter(torch.empty(n_experts, d_model))
        self.bias = nn.Parameter(torch.empty(n_experts)) if biased else None

    def logits(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T E"]:
        """Router logits in float32, whatever autocast says."""
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight.float(), self.bias)

    def selection_logits(
        self, logits: Float[Tensor, "T E"], stream: Stream
    ) -> Float[Tensor, "T E"]:
        """What the choice is made by: in training, clean logits plus Gaussian noise; no gradient."""
        logits = logits.detach()
        if not (self.training and self.noise):
            return logits
        return logits + self.noise * stream.normal("router_noise", tuple(logits.shape)).to(logits)

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "T D"],
        stream: Stream,
        selection_bias: Float[Tensor, " E"] | None = None,
    ) -> Routing:
        """Route T tokens, nothing dropped yet. selection_bias picks experts and never weighs them."""


def choose(
    scores: Float[Tensor, "T E"], top_k: int, stream: Stream
) -> tuple[Int[Tensor, "T k"], Int[Tensor, ""]]:
    """The k experts of largest score for each token, and how many tokens had a tie at the border.

    Exact ties are broken by a draw per token and expert: by index order they would all fall on the same experts
    and look like collapse.
    """
    n_tokens, n_experts = scores.shape
    if top_k == n_experts:
        return torch.arange(n_experts, device=scores.device).expand(n_tokens, -1), _no_ties(scores)
    largest, chosen = scores.topk(top_k + 1, dim=-1)
    tied = largest[:, -2] == largest[:, -1]
    chosen = chosen[:, :-1]
    if tied.any():
        order = torch.from_numpy(stream.words("router_tie", (n_tokens, n_experts)).argsort(-1))
        order = order.to(scores.device)[tied]
        ranked = scores[tied].gather(1, order).sort(dim=-1, descending=True, stable=True).indices
        chosen = chosen.index_put((tied,), order.gather(1, ranked[:, :top_k]))
    return chosen, tied.sum()


def _no_ties(scores: Tensor) -> Int[Tensor, ""]:
    return torch.zeros((), dtype=torch.int64, device=scores.device)


def drop_over_capacity(routing: Routing, slots: int) -> Routing:
    """Keep each expert's first `slots` assignments in order of position: of token, then of choice."""
    order = torch.argsort(routing.expert, stable=True)
    counts = routing.counts()
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(order), device=order.device) - starts[routing.expert[order]]
    kept = torch.empty_like(routing.kept).index_copy_(0, order, rank < slots)
    return replace(routing, kept=kept)
