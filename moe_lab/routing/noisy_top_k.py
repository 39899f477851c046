"""Each token goes to the k experts of largest noisy logit, and learns how noisy.

    H_i = (x W)_i + N(0, 1) * softplus((x W_noise)_i) in training, (x W)_i in evaluation
    gate = softmax over the chosen, the top-k of H, of H

The task's gradient reaches W_noise through the gates. P and the router's logits are those of x W, without noise.
W_noise starts at zero: the noise has scale ln 2 then.

Source: Shazeer et al. 2017, arXiv:1701.06538, eq. 3-5.
Deviations: W starts at `init_std`, not at zero. A balancer's selection bias is added to softmax(H), for the choice.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lab.choosing import choose
from moe_lab.routing.base import Router, Routing, routed
from moe_lab.streams import Stream


class NoisyTopK(Router):
    """Token choice with learned noise; the fixed `noise` does nothing."""

    ignores_noise = True
    always_renormalizes = True

    def __init__(
        self,
        d_model: int,
        n_experts: int,
        top_k: int,
        noise: float = 0.0,
        biased: bool = False,
    ):
        super().__init__(d_model, n_experts, top_k, biased=biased)
        self.noise_weight = nn.Parameter(torch.empty(n_experts, d_model))

    def forward(
        self,
        x: Float[Tensor, "T D"],
        stream: Stream,
        selection_bias: Float[Tensor, " E"] | None = None,
        labels: Int[Tensor, " T"] | None = None,
    ) -> Routing:
        """Route T tokens; ties and noise are drawn from `stream`."""
        logits = self.logits(x)
        noisy = self.noisy_logits(x, logits, stream) if self.training else logits
        selection = noisy.detach()
        if selection_bias is not None:
            selection = selection.softmax(-1) + selection_bias
        chosen, tied = choose(selection, self.top_k, stream)
        gates = noisy.gather(1, chosen).softmax(-1)
        return routed(logits, logits.softmax(-1), chosen, gates, tied.sum())

    def noisy_logits(
        self, x: Float[Tensor, "T D"], logits: Float[Tensor, "T E"], stream: Stream
    ) -> Float[Tensor, "T E"]:
        """H of training."""
        with torch.autocast(x.device.type, enabled=False):
            scale = F.softplus(F.linear(x.float(), self.noise_weight.float()))
        return logits + stream.normal("router_noise", tuple(logits.shape)).to(logits) * scale
