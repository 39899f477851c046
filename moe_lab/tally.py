"""What one MoE layer's router did over one step's micro-batches, or over an evaluation: from records to rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moe_lab import columns, metrics
from moe_lab.routing.base import Routing

NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Reading:
    """A layer's numbers over some tokens."""

    counts: list[int]  # assignments per expert, before capacity
    top_k: int
    kept: list[int]  # assignments per expert, after capacity
    router_entropy: float  # / ln E
    confidence: float
    margin: float | None
    logit_norm: float
    router_ties: int
    raw: dict[str, float]  # unweighted balance losses, mean over batches by their tokens

    @cached_property
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
    def dropped(self) -> float:
        """Share of assignments over capacity."""
        return (sum(self.counts) - sum(self.kept)) / sum(self.counts)

    def utilization_row(self) -> dict[str, float]:
        """The expert columns of utilization.csv."""
        return dict(zip(columns.experts(len(self.counts)), self.load.tolist(), strict=True))

    def cv_row(self, deaths: metrics.Deaths | None) -> dict[str, int | float | None]:
        """The columns of cv.csv after step, split and layer."""
        return {
            **metrics.balance(self.counts, top_k=self.top_k),
            **(vars(deaths) if deaths else {}),
            **(self._kept_row() if self.kept != self.counts else {}),
            "dropped": self.dropped,
            "router_entropy": self.router_entropy,
            "confidence": self.confidence,
            "margin": self.margin,
            "logit_norm": self.logit_norm,
            "router_ties": self.router_ties,
        }

    def _kept_row(self) -> dict[str, float]:
        load = metrics.load(self.kept)
        return {
            "cv_kept": metrics.cv(load),
            "max_violation_kept": metrics.max_violation(load),
            "n_eff_kept": metrics.n_eff(load),
        }

    def aux_row(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The raw and weighted columns of aux_loss.csv; weighted ones for the losses whose weight is known."""
        raw = {f"{name}_raw": value for name, value in self.raw.items()}
        return raw | {
            f"{name}_weighted": weight * self.raw[name] for name, weight in weights.items()
        }


class Tally:
    """Sums of one layer over several batches, kept on the device and fetched once."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._shape = (0, 0)  # experts, k
        self._names: Sequence[str] = ()

    @torch.no_grad()
    def add(self, routing: Routing, raw: Mapping[str, Tensor]) -> None:
        """Count one batch in: few operations, for each costs as much as its arithmetic."""
        entropy, margin = routing.entropy(), routing.margin()
        per_token = (
            entropy,
            routing.router_probs.amax(-1),
            routing.router_logits.norm(dim=-1),
            torch.zeros_like(entropy) if margin is None else margin,
        )
        sums = torch.cat(
            [
                routing.counts(),
                routing.kept_counts(),
                routing.ties[None],
                torch.stack(per_token).sum(1, dtype=torch.float64),  # makes all of them double
                *(loss[None] * len(entropy) for loss in raw.values()),
            ]
        )
        self._sums = sums if self._sums is None else self._sums + sums
        self._shape = (routing.n_experts, routing.top_k)
        self._names = tuple(raw)

    @property
    def sums(self) -> Float[Tensor, " n"]:
        """All that was added up, on the device: ranks put the sum of theirs in its place."""
        assert self._sums is not None, "nothing was added"
        return self._sums

    def counts(self) -> Int[Tensor, " E"]:
        """Assignments per expert so far, on the device."""
        return self.sums[: self._shape[0]].long()

    def read(self, raw_of_step: Mapping[str, float] = NOTHING) -> Reading:
        """The numbers so far; waits for the device. raw_of_step: losses that are not the mean of what was added."""
        n_experts, top_k = self._shape
        sums = self.sums.tolist()
        counts, kept = ([int(n) for n in sums[i : i + n_experts]] for i in (0, n_experts))
        ties, entropy, confidence, logit_norm, margin, *raw = sums[2 * n_experts :]
        tokens = sum(counts) // top_k
        return Reading(
            counts=counts,
            top_k=top_k,
            kept=kept,
            router_entropy=entropy / tokens / log(n_experts),
            confidence=confidence / tokens,
            margin=margin / tokens if top_k < n_experts else None,
            logit_norm=logit_norm / tokens,
            router_ties=int(ties),
            raw={name: value / tokens for name, value in zip(self._names, raw, strict=True)}
            | dict(raw_of_step),
        )
