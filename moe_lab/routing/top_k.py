"""Each token goes to the k experts of largest score.

    s = softmax(x W), or sigmoid(x W)        P = s / sum s
    chosen: the top-k of s + b, where in training s is that of noisy logits
    gate_i = s_i for the chosen i, or s_i / (sum of s over the chosen) if renormalised

Renormalised softmax scores are the softmax of the logits over the chosen alone. b is a balancer's selection bias.
Of `renormalize_over: kept` the sum is over the choices that were not dropped, and a token that lost all has none.
With `n_groups`, a token chooses among the experts of its `top_groups` best groups; a group's score is the sum of
its two largest s + b. Gumbel noise of scale 1 draws k experts from softmax(x W) without replacement.

Source: Shazeer et al. 2017, arXiv:1701.06538, eq. 2-5; gates from all E experts, router precision and jitter as in
Fedus et al. 2022, arXiv:2101.03961, eq. 1-2, section 2.4 and appendix C; s + b in Wang et al. 2024, arXiv:2408.15664,
eq. 3; sigmoid scores and groups in DeepSeek-AI 2024, arXiv:2412.19437, section 2.1.2; Gumbel noise in Kool et al. 2019,
arXiv:1903.06059.
Deviations: noise has one fixed scale, and noise and jitter act on the choice only: gates and P come from the clean
logits. Groups are judged by two experts for every k; the paper takes k / top_groups, which is two at its sizes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from jaxtyping import Float, Int
from torch import Tensor

from moe_lab.choosing import choose_in_groups
from moe_lab.routing.base import Router, Routing, normalized, routed
from moe_lab.streams import Stream


class TopK(Router):
    """Token choice."""

    def __init__(
        self,
        d_model: int,
        n_experts: int,
        top_k: int,
        noise: float = 0.0,
        biased: bool = False,
        *,
        score: Literal["softmax", "sigmoid"] = "softmax",
        renormalize: bool = False,
        renormalize_over: Literal["chosen", "kept"] = "chosen",
        n_groups: Annotated[int, Ge(1), Le(1024)] = 1,
        top_groups: Annotated[int, Ge(1), Le(1024)] = 1,
        jitter: Annotated[float, Ge(0), Le(1)] = 0.0,
        noise_law: Literal["gaussian", "gumbel"] = "gaussian",
        precision: Literal["float32", "bfloat16"] = "float32",
    ):
        super().__init__(d_model, n_experts, top_k, biased=biased, precision=precision)
        self.score, self.noise, self.noise_law, self.jitter = score, noise, noise_law, jitter
        self.renormalize, self.renormalize_over = renormalize, renormalize_over
        self.n_groups, self.top_groups = n_groups, top_groups

    def forward(
        self,
        x: Float[Tensor, "T D"],
        stream: Stream,
        selection_bias: Float[Tensor, " E"] | None = None,
        labels: Int[Tensor, " T"] | None = None,
    ) -> Routing:
        """Route T tokens; ties, noise and jitter are drawn from `stream`."""
        logits = self.logits(x)
        scores, probs = SCORES[self.score](logits)
        selection = self.selection_scores(x, logits, stream, selection_bias)
        chosen, tied = choose_in_groups(
            selection, self.top_k, self.n_groups, self.top_groups, stream
        )
        gates = scores.gather(1, chosen)
        if self.renormalize:
            gates = normalized(gates)
        return routed(logits, probs, chosen, gates, tied.sum())

    @torch.no_grad()
    def selection_scores(
        self,
        x: Float[Tensor, "T D"],
        logits: Float[Tensor, "T E"],
        stream: Stream,
        selection_bias: Float[Tensor, " E"] | None = None,
    ) -> Float[Tensor, "T E"]:
        """What experts are chosen by: scores of jittered and noisy logits, plus the bias; no gradient.

        Where order is all that counts they are the logits, which rank alike and do not saturate.
        """
        selection = self.selection_logits(x, logits, stream)
        if selection_bias is None and self.top_groups == self.n_groups:
            return selection
        scores, _ = SCORES[self.score](selection)
        return scores if selection_bias is None else scores + selection_bias

    @torch.no_grad()
    def selection_logits(
        self, x: Float[Tensor, "T D"], logits: Float[Tensor, "T E"], stream: Stream
    ) -> Float[Tensor, "T E"]:
        """In training: logits of the jittered input, plus noise; in evaluation the clean ones; no gradient."""
        if self.training and self.jitter:
            spread = 2 * torch.from_numpy(stream.uniform("router_jitter", tuple(x.shape))) - 1
            logits = self.logits(x.float() * (1 + self.jitter * spread).to(x.device, torch.float32))
        if self.training and self.noise:
            drawn = NOISE[self.noise_law](stream, tuple(logits.shape))
            logits = logits + self.noise * drawn.to(logits)
        return logits.detach()

    def weigh_kept(self, routing: Routing) -> Routing:
        """With `renormalize_over: kept`, the gates that were not dropped over their sum per token."""
        if not self.renormalize or self.renormalize_over == "chosen":
            return routing
        gates = (routing.gate * routing.kept).view(-1, self.top_k)
        return replace(routing, gate=normalized(gates).flatten())


def _softmax(
    logits: Float[Tensor, "T E"],
) -> tuple[Float[Tensor, "T E"], Float[Tensor, "T E"]]:
    probs = logits.softmax(-1)
    return probs, probs


def _sigmoid(
    logits: Float[Tensor, "T E"],
) -> tuple[Float[Tensor, "T E"], Float[Tensor, "T E"]]:
    scores = logits.sigmoid()
    return scores, normalized(scores)


def _gaussian(stream: Stream, shape: tuple[int, ...]) -> Tensor:
    return stream.normal("router_noise", shape)


def _gumbel(stream: Stream, shape: tuple[int, ...]) -> Tensor:
    """-ln(-ln u)."""
    uniform = torch.from_numpy(stream.uniform("router_noise", shape))
    return -(-uniform.log()).log().float()


SCORES = {"softmax": _softmax, "sigmoid": _sigmoid}  # logits to scores and probabilities
NOISE: dict[str, Callable[[Stream, tuple[int, ...]], Tensor]] = {
    "gaussian": _gaussian,
    "gumbel": _gumbel,
}
