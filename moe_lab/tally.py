"""What one MoE layer's router did over one step's micro-batches, or over an evaluation: from records to rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Int
from torch import Tensor

from moe_lab import columns, metrics
from moe_lab.routing.base import Routing


@dataclass(frozen=True)
class Reading:
    """A layer's numbers over some tokens."""

    counts: list[int]  # assignments per expert, before capacity
    top_k: int
    dropped: float  # share of assignments
    router_entropy: float  # / ln E
    margin: float | None
    router_ties: int
    raw: dict[str, float]  # unweighted balance losses, mean over batches by their tokens

    @property
    def load(self) -> metrics.Load:
        """Share of assignments per expert."""
        return metrics.load(self.counts)

    @property
    def cv(self) -> float:
        """Coefficient of variation of the load."""
        return metrics.cv(self.load)

    @property
    def n_eff(self) -> float:
        """Effective number of experts."""
        return metrics.n_eff(self.load)

    @property
    def dead_experts(self) -> float:
        """Share of experts below 5 % of their fair share."""
        return metrics.dead_experts(self.load)

    def utilization_row(self) -> dict[str, float]:
        """The expert columns of utilization.csv."""
        return dict(zip(columns.experts(len(self.counts)), self.load.tolist(), strict=True))

    def cv_row(self, dead_experts: float | None) -> dict[str, int | float | None]:
        """The columns of cv.csv after step, split and layer."""
        return metrics.balance(self.counts, top_k=self.top_k) | {
            "dead_experts": dead_experts,
            "dropped": self.dropped,
            "router_entropy": self.router_entropy,
            "margin": self.margin,
            "router_ties": self.router_ties,
        }

    def aux_row(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The raw and weighted columns of aux_loss.csv."""
        raw = {f"{name}_raw": value for name, value in self.raw.items()}
        return raw | {f"{name}_weighted": weights[name] * value for name, value in self.raw.items()}


class Tally:
    """Sums of one layer over several batches, kept on the device and fetched once."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._shape = (0, 0)  # experts, k
        self._names: Sequence[str] = ()

    def add(self, routing: Routing, raw: Mapping[str, Tensor]) -> None:
        """Count one batch in."""
        margin = routing.margin()
        numbers = [
            routing.dropped(),
            routing.ties,
            routing.entropy().sum(),
            margin.sum() if margin is not None else routing.ties * 0,
            *(loss * len(routing.router_probs) for loss in raw.values()),
        ]
        sums = torch.cat([routing.counts(), torch.stack([n.detach().double() for n in numbers])])
        self._sums = sums if self._sums is None else self._sums + sums
        self._shape = (routing.n_experts, routing.top_k)
        self._names = tuple(raw)

    def counts(self) -> Int[Tensor, " E"]:
        """Assignments per expert so far, on the device."""
        assert self._sums is not None, "nothing was added"
        return self._sums[: self._shape[0]].long()

    def read(self) -> Reading:
        """The numbers so far; waits for the device."""
        assert self._sums is not None, "nothing was added"
        n_experts, top_k = self._shape
        sums = self._sums.tolist()
        counts = [int(n) for n in sums[:n_experts]]
        dropped, ties, entropy, margin, *raw = sums[n_experts:]
        assignments = sum(counts)
        tokens = assignments // top_k
        return Reading(
            counts=counts,
            top_k=top_k,
            dropped=dropped / assignments,
            router_entropy=entropy / tokens / log(n_experts),
            margin=margin / tokens if top_k < n_experts else None,
            router_ties=int(ties),
            raw={name: value / tokens for name, value in zip(self._names, raw, strict=True)},
        )
