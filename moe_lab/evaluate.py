"""Held-out loss, gap and specialization: no noise, nothing dropped by default, no training state changed."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from moe_lab import metrics
from moe_lab.data.base import Batch, Source
from moe_lab.model import LanguageModel
from moe_lab.streams import Stream
from moe_lab.tally import Reading, Tally

SHUFFLES = 20  # of domains over sequences, whose mean information is the bias of nmi
BURN_IN = 8  # positions left out of nmi: the domain cannot be known at first


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: losses in nats per token, and each MoE layer's reading."""

    lm_loss: float
    gap: float | None
    nmi: float | None
    domain_losses: dict[str, float | None]  # None: the domain does not occur in the probe
    layers: dict[int, Reading]

    def row(self) -> dict[str, float | None]:
        """The columns of eval.csv after step."""
        losses = {f"{domain}_loss": loss for domain, loss in self.domain_losses.items()}
        return {"lm_loss": self.lm_loss, "gap": self.gap, "nmi": self.nmi} | losses


class Probe:
    """A fixed set of held-out sequences: the same at every step and in every run of this data and seed."""

    def __init__(
        self, source: Source, *, tokens: int, batch_size: int, seed: int, device: torch.device
    ):
        self.domains, self.stream = source.domains, Stream(seed, ("eval",))
        batch = source.held_out(tokens)
        parts = list(_parts(batch, batch_size))
        self.batches = [part.to(device) for part in parts]
        bayes = [source.bayes(part) for part in parts]
        self.bayes = [None if b is None else torch.from_numpy(b).to(device) for b in bayes]
        self.labels = batch.domains.numpy()
        streams = [self.stream.at(i) for i in range(SHUFFLES)]
        self.orders = [stream.permutation("shuffle", len(self.labels)) for stream in streams]

    @torch.no_grad()
    def evaluate(self, model: LanguageModel) -> Evaluation:
        """Evaluate a model; it is left in the mode it came in."""
        was_training = model.training
        model.eval()
        losses, gaps = [], []
        tallies = {layer: Tally() for layer in model.moe_layers()}
        experts: dict[int, list[NDArray[np.int64]]] = {layer: [] for layer in tallies}
        for i, (batch, bayes) in enumerate(zip(self.batches, self.bayes, strict=True)):
            logits, routings = model(batch.inputs, self.stream.at(i))
            losses.append(F.cross_entropy(logits.mT, batch.targets, reduction="none").cpu())
            if bayes is not None:
                gaps.append(divergence(bayes, logits).cpu())
            for layer, raw in model.balance_losses(routings).items():
                tallies[layer].add(routings[layer], raw)
                chosen = routings[layer].expert.view(*batch.inputs.shape, -1)
                experts[layer].append(chosen.cpu().numpy())
        model.train(was_training)
        readings = {layer: tally.read() for layer, tally in tallies.items()}
        return self._result(torch.cat(losses), gaps, experts, readings)

    def _result(
        self,
        losses: Float[Tensor, "B S"],
        gaps: list[Tensor],
        experts: dict[int, list[NDArray[np.int64]]],
        layers: dict[int, Reading],
    ) -> Evaluation:
        known = len(np.unique(self.labels)) > 1
        per_token = losses.double().numpy()
        domain_losses = {
            domain: float(per_token[self.labels == d].mean()) if (self.labels == d).any() else None
            for d, domain in enumerate(self.domains)
        }
        return Evaluation(
            lm_loss=float(per_token.mean()),
            gap=float(torch.cat(gaps).double().mean()) if gaps else None,
            nmi=float(np.mean([self._nmi(parts) for parts in experts.values()])) if known else None,
            domain_losses=domain_losses if len(self.domains) > 1 else {},
            layers=layers,
        )

    def _nmi(self, parts: list[NDArray[np.int64]]) -> float:
        """Of one layer's experts (sequences, S, k) with the domains of the same tokens."""
        chosen = np.concatenate(parts)
        skip = min(BURN_IN, chosen.shape[1] // 2)
        chosen = chosen[:, skip:]
        domains = np.broadcast_to(self.labels[:, skip:, None], chosen.shape)
        shape = (int(chosen.max()) + 1, len(self.domains))
        flat = (chosen.reshape(len(chosen), -1), domains.reshape(len(chosen), -1))
        return metrics.nmi(*flat, self.orders, shape)


def divergence(
    bayes: Float[Tensor, "B S V"], logits: Float[Tensor, "B S V"]
) -> Float[Tensor, "B S"]:
    """KL(p* || q) in nats at each position: how much worse than the best predictor, without sampling noise."""
    return (bayes * (bayes.log() - logits.double().log_softmax(-1))).sum(-1)


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    edges = [*range(0, len(batch.inputs), size), len(batch.inputs)]
    for start, end in pairwise(edges):
        yield Batch(*(getattr(batch, field.name)[start:end] for field in fields(batch)))
