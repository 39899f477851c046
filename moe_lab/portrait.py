"""What one MoE layer's router does with held-out data: a row of router.csv and the arrays beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from moe_lab import metrics
from moe_lab.experts import Experts
from moe_lab.moe import MoELayer
from moe_lab.routing.base import Routing
from moe_lab.streams import Stream
from moe_lab.tally import Reading, Tally

SHUFFLES = 20  # whose mean information is the bias of a specialization
BURN_IN = 8  # positions left out of what is said about domains: they cannot be known at first
COMPARED = 128  # tokens that every expert is given, to compare what they make of them
RANDOM_EXPERTS = 8  # at random initialisation, whose likeness is the null

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Known:
    """What is known about the held-out tokens."""

    tokens: NDArray[np.int64]  # (N, S)
    domains: NDArray[np.int64]  # (N, S)
    vocab_size: int
    n_domains: int
    stream: Stream

    @property
    def several_domains(self) -> bool:
        """Whether there is more than one domain to tell apart."""
        return len(np.unique(self.domains)) > 1


@dataclass(frozen=True)
class Portrait:
    """One layer at one evaluation."""

    reading: Reading
    row: dict[str, float | None]  # of router.csv, after step and layer
    arrays: dict[str, Array]


class Sitting:
    """Watches one layer through an evaluation, batch by batch."""

    def __init__(self, moe: MoELayer, known: Known):
        self.moe, self.known, self.tally = moe, known, Tally()
        self.chosen: list[NDArray[np.int64]] = []  # (B, S, k) of each batch
        self.dropped: list[NDArray[np.bool_]] = []  # the same shape: over training's capacity
        self.first: Routing | None = None
        self.ablation: NDArray[np.float64] | None = None  # (E,) nats per token

    def add(self, routing: Routing, raw: Mapping[str, Tensor], stream: Stream) -> None:
        """Take one batch in."""
        self.tally.add(routing, raw)
        shape = (routing.n_sequences, -1, routing.top_k)
        self.chosen.append(routing.expert.view(shape).cpu().numpy())
        if (factor := self.moe.limits.training) is not None:
            crowded = self.moe.drop(routing, factor, stream)
            self.dropped.append(~crowded.kept.view(shape).cpu().numpy())
        self.first = self.first or routing

    def finish(self) -> Portrait:
        """All that was seen."""
        assert self.first is not None, "no batch was added"
        known, n_experts = self.known, self.first.n_experts
        chosen = np.concatenate(self.chosen)
        alike = _similarity(self.moe.experts, _some(self.first))
        row: dict[str, float | None] = {
            **_specialization(chosen, known, n_experts),
            **_imbalance(self.chosen, n_experts),
            **_pairs(alike),
            **_likeness(self.moe, self.first, known.stream),
        }
        arrays = _tables(chosen, known, n_experts) | alike
        if self.ablation is not None:
            row["ablation_smallest"] = float(self.ablation.min())
            row["ablation_largest"] = float(self.ablation.max())
            arrays["ablation"] = self.ablation
        if self.dropped:
            dropped = np.concatenate(self.dropped)
            row["over_capacity"] = float(dropped.mean())
            arrays |= _drops(dropped, known)
        return Portrait(self.tally.read(), row, arrays)


def _specialization(
    chosen: NDArray[np.int64], known: Known, n_experts: int
) -> dict[str, float | None]:
    """What an expert says about the domain and the token; (N, S, k) choices."""
    top_k, flat = chosen.shape[-1], chosen.reshape(-1, chosen.shape[-1])
    orders = _orders(known.stream, "token", known.tokens.size)
    pairs = metrics.coactivation_excess(metrics.coactivation_counts(flat, n_experts), top_k=top_k)
    return {
        **(_domains(chosen, known, n_experts) if known.several_domains else {}),
        "token_specialization": metrics.token_specialization(flat, known.tokens.ravel(), orders),
        "coactivation": pairs.excess if pairs else None,
        "coactivation_floor": pairs.floor if pairs else None,
    }


def _domains(chosen: NDArray[np.int64], known: Known, n_experts: int) -> dict[str, float | None]:
    skip = min(BURN_IN, chosen.shape[1] // 2)
    late, domains, tokens = chosen[:, skip:], known.domains[:, skip:], known.tokens[:, skip:]
    repeated = np.broadcast_to(domains[..., None], late.shape)
    sequences = len(late)
    return {
        "nmi": metrics.nmi(
            late.reshape(sequences, -1),
            repeated.reshape(sequences, -1),
            _orders(known.stream, "shuffle", sequences),
            (n_experts, known.n_domains),
        ),
        "conditional_nmi": metrics.conditional_nmi(
            late.reshape(-1, late.shape[-1]),
            domains.ravel(),
            tokens.ravel(),
            _orders(known.stream, "token", tokens.size),
        ),
    }


def _orders(stream: Stream, purpose: str, size: int) -> list[NDArray[np.int64]]:
    return [stream.at(i).permutation(purpose, size) for i in range(SHUFFLES)]


def _imbalance(batches: Sequence[NDArray[np.int64]], n_experts: int) -> dict[str, float | None]:
    """Of the batches of full size."""
    full = [batch.ravel() for batch in batches if batch.size == batches[0].size]
    counts = np.stack([np.bincount(batch, minlength=n_experts) for batch in full])
    found = metrics.batch_imbalance(counts, top_k=batches[0].shape[-1])
    return {
        "batch_cv2": found.batch_cv2,
        "global_cv2": found.global_cv2,
        "between_batches": found.between_batches,
        "batch_floor": found.floor,
    }


def _likeness(moe: MoELayer, routing: Routing, stream: Stream) -> dict[str, float | None]:
    """How much alike random experts are, and the trained ones in whom they are given."""
    assert routing.hidden is not None
    null = _pairs(_similarity(random_experts(moe.experts, stream), _some(routing)))
    return {
        **{f"{name}_null": value for name, value in null.items()},
        "router_cosine": metrics.direction_similarity(moe.router.weight.double().cpu().numpy()),
        "representation_collapse": metrics.representation_collapse(
            routing.hidden.double().cpu().numpy(),
            routing.expert[:: routing.top_k].cpu().numpy(),
        ),
    }


def _some(routing: Routing) -> Float[Tensor, "N D"]:
    """What the router read of about COMPARED tokens, from all over the batch."""
    assert routing.hidden is not None
    return routing.hidden[:: ceil(len(routing.hidden) / COMPARED)]


def _similarity(experts: Experts, x: Float[Tensor, "N D"]) -> dict[str, NDArray[np.float64]]:
    """Between every two experts (E, E), by their outputs for the same tokens."""
    outputs = experts.everywhere(x).double().cpu().numpy()
    return {
        "output_cosine": metrics.output_cosine(outputs),
        "cka": metrics.linear_cka(outputs),
    }


def _pairs(similarity: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Means over pairs of experts."""
    return {name: metrics.pairwise_similarity(found) for name, found in similarity.items()}


@torch.no_grad()
def random_experts(like: Experts, stream: Stream) -> Experts:
    """A few experts of the same shape at random initialisation: what trained ones are alike by nature alone."""
    n_experts, d_model, _ = like.w_in.shape
    n_random, d_expert = min(n_experts, RANDOM_EXPERTS), like.w_out.shape[1]
    made = Experts(n_random, d_model, d_expert, like.activation).to(like.w_in.device)
    for name, parameter in made.named_parameters():
        draws = stream.normal(f"null {name}", tuple(parameter.shape))
        parameter.copy_(draws / sqrt(parameter.shape[1]))
    return made


def _tables(chosen: NDArray[np.int64], known: Known, n_experts: int) -> dict[str, Array]:
    """Counts of assignments by expert and domain, token and other expert, and the choices themselves."""
    top_k = chosen.shape[-1]
    tables: dict[str, Array] = {"experts": _small(chosen.reshape(-1, top_k), n_experts)}
    for name, labels, size in (
        ("domain", known.domains, known.n_domains),
        ("token", known.tokens, known.vocab_size),
    ):
        repeated = np.broadcast_to(labels[..., None], chosen.shape)
        tables[f"expert_by_{name}"] = metrics.joint_counts(chosen, repeated, (n_experts, size))
    if top_k > 1:
        flat = chosen.reshape(-1, top_k)
        tables["coactivation"] = metrics.coactivation_counts(flat, n_experts)
    return tables


def _small(experts: NDArray[np.int64], n_experts: int) -> Array:
    return experts.astype(np.min_scalar_type(n_experts - 1))


def _drops(dropped: NDArray[np.bool_], known: Known) -> dict[str, Array]:
    """Shares of assignments (N, S, k) over capacity, by position and by domain."""
    per_token = dropped.mean(-1)
    total = np.bincount(known.domains.ravel(), minlength=known.n_domains)
    lost = np.bincount(known.domains.ravel(), per_token.ravel(), minlength=known.n_domains)
    by_domain = np.divide(lost, total, out=np.full(len(total), np.nan), where=total > 0)
    return {"dropped_by_position": per_token.mean(0), "dropped_by_domain": by_domain}
