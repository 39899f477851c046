"""Held-out loss, gap and specialization: no noise, nothing dropped by default, no training state changed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from math import isfinite
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from moe_lab.data.base import Batch, Source
from moe_lab.model import LanguageModel
from moe_lab.moe import MoELayer
from moe_lab.portrait import Known, Portrait, Sitting
from moe_lab.ranks import ALONE, Ranks
from moe_lab.routing.base import Reads, Routing
from moe_lab.streams import Stream

NONE: Mapping[int, Routing] = MappingProxyType({})


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: losses in nats per token, and each MoE layer's portrait."""

    lm_loss: float
    gap: float | None
    by_domain: dict[str, float | None]  # columns of eval.csv; None: the domain is not in the probe
    by_position: dict[str, NDArray[np.float64]]  # (S,)
    layers: dict[int, Portrait]
    fault: str | None = None  # what was not finite; then the loss alone is known

    def row(self) -> dict[str, float | None]:
        """The columns of eval.csv after step."""
        return {"lm_loss": self.lm_loss, "gap": self.gap, "nmi": self.nmi, **self.by_domain}

    @property
    def nmi(self) -> float | None:
        """Mean over MoE layers; None where there are no domains to tell apart."""
        found = [layer.row.get("nmi") for layer in self.layers.values()]
        known = [value for value in found if value is not None]
        return float(np.mean(known)) if known else None

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything of this evaluation that is no single number, by name."""
        layers = (
            (f"layer_{i}.{name}", array)
            for i, portrait in self.layers.items()
            for name, array in portrait.arrays.items()
        )
        return {**self.by_position, **dict(layers)}


class Probe:
    """A fixed set of held-out sequences: the same at every step and in every run of this data and seed."""

    def __init__(
        self,
        source: Source,
        *,
        tokens: int,
        batch_size: int,
        ablation: bool,
        seed: int,
        device: torch.device,
    ):
        self.source, self.device, self.stream = source, device, Stream(seed, ("eval",))
        self.ablation = ablation
        batch = source.held_out(tokens)
        self.parts = list(_parts(batch, batch_size))
        bayes = [source.bayes(part) for part in self.parts]
        self.bayes = [None if b is None else torch.from_numpy(b).to(device) for b in bayes]
        self.known = Known(
            tokens=batch.inputs.numpy(),
            domains=batch.domains.numpy(),
            vocab_size=source.vocab_size,
            n_domains=len(source.domains),
            stream=self.stream,
        )

    @property
    def gap_known(self) -> bool:
        """Whether the best possible predictor is known."""
        return self.bayes[0] is not None

    def evaluate(
        self, model: LanguageModel, between: Callable[[], None] = lambda: None
    ) -> Evaluation:
        """Evaluate a model; it is left in the mode it came in, also where `between` raises.

        between: called before each forward pass, so that a long evaluation can be left.
        """
        with _evaluating(model):
            return self._evaluated(model, between)

    def _evaluated(self, model: LanguageModel, between: Callable[[], None]) -> Evaluation:
        losses, gaps = [], []
        sittings = {i: Sitting(moe, self.known) for i, moe in model.moe_layers().items()}
        for i, bayes in enumerate(self.bayes):
            between()
            logits, per_token, routings = self._forward(model, i)
            if found := not_finite("held-out loss", per_token.mean(), routings):
                return Evaluation(per_token.mean().item(), None, {}, {}, {}, found)
            losses.append(per_token.cpu())
            if bayes is not None:
                gaps.append(divergence(bayes, logits).cpu())
            for layer, raw in model.balance_losses(routings).items():
                sittings[layer].add(routings[layer], raw, self.stream.at(i, layer))
        if self.ablation:
            for layer, moe in model.moe_layers().items():
                whole = losses[0].mean().item()
                sittings[layer].ablation = self._ablate(model, moe, whole, between)
        portraits = {layer: sitting.finish() for layer, sitting in sittings.items()}
        return self._result(torch.cat(losses), torch.cat(gaps) if gaps else None, portraits)

    def _forward(
        self, model: LanguageModel, i: int
    ) -> tuple[Float[Tensor, "B S V"], Float[Tensor, "B S"], dict[int, Routing]]:
        """Logits, loss of each token and records of one part of the probe."""
        part = self.parts[i]
        labels = router_labels(model.reads, self.source, part, self.device)
        batch = part.to(self.device)
        logits, routings = model(batch.inputs, self.stream.at(i), labels)
        return logits, F.cross_entropy(logits.mT, batch.targets, reduction="none"), routings

    def _ablate(
        self, model: LanguageModel, moe: MoELayer, whole: float, between: Callable[[], None]
    ) -> NDArray[np.float64]:
        """By how much the loss of the first part grows without each expert (E,), in nats per token."""
        found = []
        for expert in range(len(moe.router.weight)):
            between()
            with moe.without(expert):
                found.append(self._forward(model, 0)[1].mean().item() - whole)
        return np.array(found)

    def _result(
        self,
        losses: Float[Tensor, "N S"],
        gaps: Float[Tensor, "N S"] | None,
        layers: dict[int, Portrait],
    ) -> Evaluation:
        per_token = {"loss": losses.double().numpy()}
        if gaps is not None:
            per_token["gap"] = gaps.double().numpy()
        several = len(self.source.domains) > 1
        return Evaluation(
            lm_loss=float(per_token["loss"].mean()),
            gap=float(per_token["gap"].mean()) if gaps is not None else None,
            by_domain=self._by_domain(per_token) if several else {},
            by_position={f"{k}_by_position": values.mean(0) for k, values in per_token.items()},
            layers=layers,
        )

    def _by_domain(self, per_token: Mapping[str, NDArray[np.float64]]) -> dict[str, float | None]:
        masks = {name: self.known.domains == d for d, name in enumerate(self.source.domains)}
        return {
            f"{domain}_{what}": float(values[mask].mean()) if mask.any() else None
            for what, values in per_token.items()
            for domain, mask in masks.items()
        }


def not_finite(
    what: str,
    value: Float[Tensor, ""],
    routings: Mapping[int, Routing] = NONE,
    ranks: Ranks = ALONE,
) -> str | None:
    """That a number, the same on all ranks, is not finite, and which layers' router logits are not; None if it is."""
    if isfinite(number := value.item()):
        return None
    faulty = {i: not r.router_logits.isfinite().all() for i, r in routings.items()}
    layers = [str(i) for i, found in faulty.items() if any(ranks.gather(int(found)))]
    where = f" (router logits are not finite in layer {', '.join(layers)})" if layers else ""
    return f"the {what} became {number}{where}"


@contextmanager
def _evaluating(model: LanguageModel) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def router_labels(
    reads: Reads | None, source: Source, batch: Batch, device: torch.device
) -> Int[Tensor, "B S"] | None:
    """What a router that is told more than its input is told about a batch, which lies on the CPU."""
    if reads is None:
        return None
    if reads == "map_domains":
        found = source.map_domains(batch)
        assert found is not None, "the config was checked: these data have a known law"
        return torch.from_numpy(found).to(device)
    return (batch.inputs if reads == "tokens" else batch.domains).to(device)


def divergence(
    bayes: Float[Tensor, "B S V"], logits: Float[Tensor, "B S V"]
) -> Float[Tensor, "B S"]:
    """KL(p* || q) in nats at each position: how much worse than the best predictor, without sampling noise."""
    negative_entropy: Tensor = torch.special.xlogy(bayes, bayes).sum(-1)  # 0 ln 0 = 0
    return negative_entropy - (bayes * logits.double().log_softmax(-1)).sum(-1)


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    edges = [*range(0, len(batch.inputs), size), len(batch.inputs)]
    for start, end in pairwise(edges):
        yield Batch(*(getattr(batch, field.name)[start:end] for field in fields(batch)))
