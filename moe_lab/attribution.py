"""Where the gradient of a router comes from: the task, and each balance loss that is optimised."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from moe_lab.model import LanguageModel

Grads = dict[str, dict[int, Float[Tensor, "E D"]]]  # by balancer, on each MoE layer's router weight


def balance_grads(model: LanguageModel, terms: Mapping[str, Float[Tensor, ""]]) -> Grads:
    """Gradient of each weighted balance loss on each router's weight; the graph is kept."""
    weights = {i: moe.router.weight for i, moe in model.moe_layers().items()}
    return {
        name: dict(zip(weights, _grads(term, weights), strict=True)) for name, term in terms.items()
    }


def _grads(term: Float[Tensor, ""], weights: Mapping[int, Tensor]) -> Sequence[Tensor]:
    if not term.requires_grad:  # as a loss over gates that are all 1
        return [torch.zeros_like(weight) for weight in weights.values()]
    inputs = list(weights.values())
    return torch.autograd.grad(term, inputs, retain_graph=True, materialize_grads=True)


def added(sums: Grads, grads: Grads) -> Grads:
    """The sum of two, where the first may be empty."""
    if not sums:
        return grads
    return {
        name: {i: sums[name][i] + grad for i, grad in layers.items()}
        for name, layers in grads.items()
    }


def attribute(model: LanguageModel, balance: Grads) -> dict[int, dict[str, float | None]]:
    """Per MoE layer the gradient columns of aux_loss.csv, after the backward pass of the whole loss.

    The task's part is what remains of the whole gradient. A cosine below 0: that loss works against the task.
    """
    found = {}
    for layer, moe in model.moe_layers().items():
        whole = moe.router.weight.grad
        parts = {name: layers[layer] for name, layers in balance.items()}
        whole = torch.zeros_like(moe.router.weight) if whole is None else whole
        total = torch.stack(list(parts.values())).sum(0) if parts else torch.zeros_like(whole)
        task = whole - total
        row: dict[str, float | None] = {
            "grad_task": task.norm().item(),
            "grad_balance": total.norm().item(),
            "grad_cosine": _cosine(task, total),
        }
        for name, part in parts.items():
            row |= {f"{name}_grad": part.norm().item(), f"{name}_cosine": _cosine(task, part)}
        found[layer] = row
    return found


def _cosine(a: Tensor, b: Tensor) -> float | None:
    """None where one of them is zero."""
    if not (a.any() and b.any()):
        return None
    return F.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0).item()
