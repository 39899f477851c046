"""Each token goes to k experts that are fixed by a rule and never learned: what learned routing is compared with.

    domain, map_domain, round_robin: experts (a k + j) mod E, j < k, a = the token's domain, or its place in the batch
    single: experts 0 ... k-1
    token_hash, random: the k experts of smallest draw
    gate_i = p_i of p = softmax(x W), or gate = 1 / k

`domain` is told the truth, `map_domain` the most likely domain given the past. `single` is total collapse, `random` is
balanced and knows nothing. `gate: learned` has the gates of a learned router on the fixed assignment, renormalised if
asked, and `gate: one` 1 / k: compare routers whose gates are alike. An assignment is the same in training, in
evaluation and in every layer; `random` alone is drawn anew for each step, layer and token. Noise and a balancer's
selection bias do nothing.

Source: Roller et al. 2021, arXiv:2106.04426 (token_hash); the other rules are our own.
Deviations: the hash is a keyed draw per token id; it evens out ids and not their frequencies.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moe_lab.routing.base import Reads, Router, Routing, normalized, routed
from moe_lab.streams import Stream


class Reference(Router):
    """A fixed assignment, with gates of 1 / k or of a learned router."""

    ignores_noise = True

    def __init__(
        self,
        d_model: int,
        n_experts: int,
        top_k: int,
        noise: float = 0.0,
        biased: bool = False,
        *,
        assignment: Literal[
            "domain", "map_domain", "token_hash", "random", "single", "round_robin"
        ],
        gate: Literal["learned", "one"] = "learned",
        renormalize: bool = False,
    ):
        super().__init__(d_model, n_experts, top_k, biased=biased)
        self.reads, self.assign = RULES[assignment]
        self.learns, self.renormalize = gate == "learned", renormalize

    def forward(
        self,
        x: Float[Tensor, "T D"],
        stream: Stream,
        selection_bias: Float[Tensor, " E"] | None = None,
        labels: Int[Tensor, " T"] | None = None,
    ) -> Routing:
        """Route T tokens by the rule; without labels to read, a token is its place in the batch."""
        logits = self.logits(x)
        probs = logits.softmax(-1)
        if self.reads is None:
            places = stream.first_row, stream.first_row + len(x)
            labels = torch.arange(*places, device=x.device)
        assert labels is not None, f"labels must be given: {self.reads}"
        chosen = self.assign(labels, probs.shape[1], self.top_k, stream)
        return routed(logits, probs, chosen, self._gates(probs, chosen), chosen.new_zeros(()))

    def _gates(
        self, probs: Float[Tensor, "T E"], chosen: Int[Tensor, "T k"]
    ) -> Float[Tensor, "T k"]:
        if not self.learns:
            return torch.full_like(chosen, 1 / self.top_k, dtype=probs.dtype)
        gates = probs.gather(1, chosen)
        return normalized(gates) if self.renormalize else gates


def _neighbours(
    labels: Int[Tensor, " T"], n_experts: int, top_k: int, stream: Stream
) -> Int[Tensor, "T k"]:
    """The next k experts for each label."""
    return (labels[:, None] * top_k + torch.arange(top_k, device=labels.device)) % n_experts


def _first(
    labels: Int[Tensor, " T"], n_experts: int, top_k: int, stream: Stream
) -> Int[Tensor, "T k"]:
    return torch.arange(top_k, device=labels.device).expand(len(labels), -1)


def _hashed(
    labels: Int[Tensor, " T"], n_experts: int, top_k: int, stream: Stream
) -> Int[Tensor, "T k"]:
    """A draw per label and seed: of a table whose rows do not depend on its length."""
    n_labels = 1 << int(labels.max()).bit_length()  # few lengths, so that tables are seldom drawn
    return _hash_table(stream.seed, n_labels, n_experts, top_k).to(labels.device)[labels]


@lru_cache(maxsize=8)
def _hash_table(seed: int, n_labels: int, n_experts: int, top_k: int) -> Int[Tensor, "N k"]:
    return _smallest((n_labels, n_experts), top_k, Stream(seed))


def _at_random(
    labels: Int[Tensor, " T"], n_experts: int, top_k: int, stream: Stream
) -> Int[Tensor, "T k"]:
    """A draw per token, of the step and layer that `stream` stands for."""
    return _smallest((len(labels), n_experts), top_k, stream).to(labels.device)


def _smallest(shape: tuple[int, int], top_k: int, stream: Stream) -> Int[Tensor, "N k"]:
    return torch.from_numpy(stream.words("reference", shape).argsort(-1)[:, :top_k])


class Rule(NamedTuple):
    """What an assignment must be told, and what it makes of that, E, k and a place in the run."""

    reads: Reads | None
    assign: Callable[[Int[Tensor, " T"], int, int, Stream], Int[Tensor, "T k"]]


RULES = {
    "domain": Rule("domains", _neighbours),
    "map_domain": Rule("map_domains", _neighbours),
    "token_hash": Rule("tokens", _hashed),
    "random": Rule(None, _at_random),
    "single": Rule(None, _first),
    "round_robin": Rule(None, _neighbours),
}
