"""Each token goes to the k experts of largest logit.

    p = softmax(x W)
    gate_i = p_i for the chosen i, or p_i / (sum of p over the chosen) if renormalised

Source: Shazeer et al. 2017, arXiv:1701.06538, eq. 2-5; gates from all E experts as in Fedus et al. 2022,
arXiv:2101.03961, eq. 1-2.
Deviations: noise has one fixed scale and acts on the choice only; the gates come from clean logits.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from moe_lab.routing.base import Router, Routing, choose
from moe_lab.streams import Stream


class TopK(Router):
    """Token choice with softmax scores."""

    def __init__(
        self,
        d_model: int,
        n_experts: int,
        top_k: int,
        noise: float = 0.0,
        biased: bool = False,
        *,
        score: Literal["softmax"] = "softmax",
        renormalize: bool = False,
    ):
        super().__init__(d_model, n_experts, top_k, noise=noise, biased=biased)
        self.score, self.renormalize = score, renormalize

    def forward(
        self,
        x: Float[Tensor, "T D"],
        stream: Stream,
        selection_bias: Float[Tensor, " E"] | None = None,
    ) -> Routing:
        """Route T tokens; ties and noise are drawn from `stream`."""
        logits = self.logits(x)
        probs = logits.softmax(-1)
        selection = self.selection_logits(logits, stream)
        if selection_bias is not None:
            selection = selection + selection_bias
        chosen, ties = choose(selection, self.top_k, stream)
        gates = probs.gather(1, chosen)
        if self.renormalize:
            gates = gates / gates.sum(-1, keepdim=True)
        tokens = torch.arange(len(x), device=x.device).repeat_interleave(self.top_k)
        kept = torch.ones_like(tokens, dtype=torch.bool)
        return Routing(logits, probs, tokens, chosen.flatten(), gates.flatten(), kept, ties)
