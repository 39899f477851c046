"""Forward and backward passes of one optimizer step, over its micro-batches and this rank's share of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from moe_lab.attribution import Grads, added, balance_grads
from moe_lab.data.base import Batch
from moe_lab.evaluate import not_finite, router_labels
from moe_lab.experiment import Experiment
from moe_lab.model import LanguageModel
from moe_lab.pooling import Means, Pool, by_layer, pools, step_losses
from moe_lab.routing.base import Routing
from moe_lab.tally import Tally


@dataclass
class Sums:
    """What the micro-batches of a step come to on all ranks, up to one with a fault."""

    losses: Float[Tensor, "2"]  # of the task, and auxiliary
    tallies: dict[int, Tally]
    grads: Grads
    step_losses: dict[int, dict[str, float]]
    fault: str | None = None


def forward_backward(experiment: Experiment, step: int, *, measure_grads: bool) -> Sums:
    """Forward and backward passes of a step.

    A rank's losses weigh as much as its share of the tokens, so that sums over ranks are exact, also of uneven shares.
    Gradients are summed in the end, all in one communication: its order is fixed, no hook of a wrapper is in the way of
    `balance_grads`, and a process on its own takes the same lines. What that gives up: to overlap the backward pass.
    """
    accumulate, model = experiment.config.train.accumulate, experiment.model
    ranks, part = experiment.ranks, experiment.share / accumulate
    tallies = {layer: Tally() for layer in model.moe_layers()}
    sums = Sums(torch.zeros(2, device=experiment.device), tallies, Grads(), {})
    ahead, along = pools(experiment)
    early = _look_ahead(experiment, step, ahead)
    for micro in range(accumulate):
        batch, logits, routings = _forward(experiment, step, micro)
        along.add(routings)
        pooled = early | along.means()
        raw = model.balance_losses(routings, by_layer(pooled))
        lm_loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()) * part
        terms = {k: v * part for k, v in weighted(raw, experiment.weights).items()}
        aux_loss = sum(terms.values(), start=torch.zeros_like(lm_loss))
        loss = lm_loss + aux_loss
        losses = torch.stack([lm_loss.detach(), aux_loss.detach()])
        ranks.sum(losses)
        sums.losses += losses
        for layer, tally in tallies.items():
            tally.add(routings[layer], raw[layer])
        sums.fault = not_finite("loss", losses.sum(), routings, ranks)
        if sums.fault:
            break
        if measure_grads:
            sums.grads = added(sums.grads, balance_grads(model, terms))
        loss.backward()  # type: ignore[no-untyped-call]
    sums.step_losses = step_losses(experiment, pooled)
    ranks.sum(*(tally.sums for tally in tallies.values()))
    if not sums.fault:
        ranks.sum(
            *gradients(model), *(g for layers in sums.grads.values() for g in layers.values())
        )
    return sums


class _Pass(NamedTuple):
    batch: Batch
    logits: Float[Tensor, "B S V"]
    routings: dict[int, Routing]


def _forward(experiment: Experiment, step: int, micro: int) -> _Pass:
    """One micro-batch through the model: the same draws whenever it is repeated."""
    train, source, rows = experiment.config.train, experiment.source, experiment.rows
    drawn = source.batch(step, micro * train.batch_size + rows.start, rows.stop - rows.start)
    labels = router_labels(experiment.model.reads, source, drawn, experiment.device)
    batch = drawn.to(experiment.device)
    stream = experiment.stream.at(step, micro).after(rows.start * batch.inputs.shape[1])
    logits, routings = experiment.model(batch.inputs, stream, labels)
    return _Pass(batch, logits, routings)


@torch.no_grad()
def _look_ahead(experiment: Experiment, step: int, ahead: Pool) -> Means:
    """What losses need to know of a whole step before the first one: one more forward pass, if any does."""
    if not ahead.members:
        return {}
    for micro in range(experiment.config.train.accumulate):
        ahead.add(_forward(experiment, step, micro).routings)
    return ahead.means()


def weighted(
    raw: Mapping[int, Mapping[str, Float[Tensor, ""]]], weights: Mapping[str, float]
) -> dict[str, Float[Tensor, ""]]:
    """Of every balancer that has a weight: weight * mean over layers of its loss. aux_loss is their sum."""
    layers = list(raw.values())
    names = [name for name, weight in weights.items() if weight and layers]
    return {
        name: weights[name] * torch.stack([losses[name] for losses in layers]).mean()
        for name in names
    }


def gradients(model: LanguageModel) -> list[Tensor]:
    """The gradient of every parameter that has one."""
    return [p.grad for p in model.parameters() if p.grad is not None]
